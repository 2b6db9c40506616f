"""The search for the nearest training rows: a session of its own beside the stack's, run only for who asks."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_bundle.errors import BundleError, ParityError
from genrestack_bundle.graphs.checks import parse_graph
from genrestack_bundle.neighbors import MAX_NEIGHBORS, FoundNeighbors, differing_row
from genrestack_bundle.reader import Bundle
from genrestack_bundle.runtime.answer import Answer, WrongAnswerError
from genrestack_bundle.runtime.compose import FEATURES, compose_search
from genrestack_bundle.runtime.providers import PROVIDERS, import_onnxruntime, ort_errors
from genrestack_bundle.runtime.session import (
    LOAD_S,
    ComposedSession,
    RunLimit,
    limit_error,
    load_session,
    session_options,
)
from genrestack_bundle.runtime.slices import Outputs, run_slices, slice_bounds
from genrestack_bundle.runtime.watchdog import Cancellation, LoadLimit
from genrestack_proto.onnx.onnx_pb2 import ModelProto
from genrestack_proto.v1.model_pb2 import PART_KIND_NEIGHBORS

if TYPE_CHECKING:
    import onnxruntime

ROW: Final = "neighbor_row"
DISTANCE: Final = "neighbor_distance"
LABEL: Final = "neighbor_label"
NAME: Final = "neighbor_name"
NOVELTY: Final = "neighbor_novelty"
"""Outputs of the neighbours part; names where the training rows have some, and novelty where it was measured."""
NAMES: Final = "row_names"
"""The constant that holds the names."""
_INT64, _FLOAT64, _OBJECT = np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.object_)
_MOST_NAME_BYTES: Final = 4000


class NeighborSearch:
    """A bundle's neighbours part in onnxruntime, in float64 on the CPU; `run` may be called from several threads."""

    def __init__(
        self,
        graph: bytes,
        *,
        outputs: Collection[str],
        threads: int,
        within_s: float = LOAD_S,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Load what `compose_search` made, with these outputs.

        Raises:
            BundleError: onnxruntime refuses the graph, or needs too long to load it.
            LoadCancelledError: the loading was cancelled.

        """
        ort = import_onnxruntime()
        options = session_options(ort, 1)
        limit = LoadLimit(options, seconds=within_s, cancellation=cancellation)
        self._session = load_session(ort, graph, PROVIDERS["cpu"], 0, options, limit)
        self._outputs = [ROW, DISTANCE, LABEL, *(each for each in (NAME, NOVELTY) if each in outputs)]
        self._threads = threads
        self.longest_name = 0
        """Bytes of the longest name of a training row; 0 where they have none."""
        self.count = MAX_NEIGHBORS
        """Nearest training rows that are found for a row."""

    def run(
        self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None" = None
    ) -> FoundNeighbors:  # fmt: skip
        """Find the nearest training rows of n rows of unscaled features, float32 of shape (n, f)."""

        def compute(part: slice) -> Outputs:
            outputs: Outputs = self._session.run(self._outputs, {FEATURES: rows[part]}, options)
            return outputs

        found = run_slices(compute, slice_bounds(len(rows), self._threads), self._threads)
        by_name = dict(zip(self._outputs, found, strict=True))
        return FoundNeighbors(by_name[ROW], by_name[DISTANCE], by_name[LABEL], by_name.get(NAME), by_name.get(NOVELTY))


class SearchingSession:
    """A stack's session and the search beside it: each answer comes with the nearest training rows.

    What else it tells is the stack's.
    """

    def __init__(self, session: ComposedSession, search: NeighborSearch) -> None:
        self._session = session
        self.search = search
        self.provider = session.provider
        self.part_names = session.part_names
        self.threads = session.threads

    def run(self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None" = None) -> Answer:
        """Answer n rows, as `ComposedSession.run`."""
        return replace(self._session.run(rows, options), neighbors=self.search.run(rows, options))


def verified_search(
    bundle: Bundle, *, threads: int, within_s: float = 60.0, cancellation: Cancellation | None = None
) -> NeighborSearch | None:
    """Load a bundle's neighbours part, and verify that it finds what the golden rows expect; None: it has no such part.

    Args:
        bundle: what is served.
        threads: how many compute the rows of one run.
        within_s: seconds after which the search for the golden rows is taken for one that never ends.
        cancellation: what may end it before.

    Raises:
        ParityError: it finds other training rows, or other distances.
        BundleError: the part does not run at all, or answers what cannot be an answer.
        LoadCancelledError: it was cancelled.

    """
    part = next((part for part in bundle.model.parts if part.kind == PART_KIND_NEIGHBORS), None)
    if part is None or bundle.golden.neighbors is None:
        return None
    parsed = parse_graph(part.file, bundle.graphs[part.file])
    outputs = [value.name for value in parsed.graph.output]
    if bundle.model.HasField("novelty") != (NOVELTY in outputs) or (bundle.golden.neighbors.novelty is None) == (
        NOVELTY in outputs
    ):
        raise BundleError(f"{part.file} is of another model than the manifest; export the model again")
    graph = compose_search(bundle.model, bundle.graphs)
    search = NeighborSearch(graph, outputs=outputs, threads=threads, cancellation=cancellation)
    search.longest_name = _longest_name(part.file, parsed)
    limit = RunLimit(seconds=within_s, cancellation=cancellation)
    try:
        with limit:
            found = search.run(bundle.golden.rows, limit.options)
        verify_neighbors(found, len(bundle.golden.rows), len(bundle.model.classes))
        search.count = found.rows.shape[1]
    except WrongAnswerError as error:
        raise BundleError(f"{part.file} gives a wrong answer to the golden rows: {error}; export it again") from error
    except ort_errors() as error:
        if limit.over:
            raise limit_error(limit, f"{part.file} needs more than {within_s:g} s for the golden rows") from error
        raise BundleError(f"{part.file} cannot answer the golden rows; export the model again") from error
    check_found(found, bundle.golden.neighbors, part.file)
    return search


def check_found(found: FoundNeighbors, expected: FoundNeighbors, what: str) -> None:
    """Raise ParityError unless the neighbours are those expected."""
    if found.rows.shape != expected.rows.shape:
        raise ParityError(
            f"{what} finds {found.rows.shape[1]} nearest training rows, expected {expected.rows.shape[1]}; export the "
            "model again"
        )
    row = differing_row(found, expected)
    if row is not None:
        raise ParityError(
            f"{what} finds other nearest training rows than the original for golden row {row}: "
            f"{found.rows[row].tolist()}, expected {expected.rows[row].tolist()}; export the model again"
        )


def verify_neighbors(found: FoundNeighbors, rows: int, classes: int) -> None:
    """Check shapes, types and ranges of the neighbours of n rows; distances may overflow.

    Raises:
        WrongAnswerError: naming the output at fault.

    """
    shape = found.rows.shape
    if len(shape) != 2 or shape[0] != rows or not 0 < shape[1] <= MAX_NEIGHBORS:
        raise WrongAnswerError(f"output {ROW} has the shape {shape}, expected {rows} rows and at most {MAX_NEIGHBORS}")
    for name, array, dtype in (
        (ROW, found.rows, _INT64),
        (DISTANCE, found.distances, _FLOAT64),
        (LABEL, found.labels, _INT64),
        *([] if found.names is None else [(NAME, found.names, _OBJECT)]),
    ):
        if array.shape != shape or array.dtype != dtype:
            raise WrongAnswerError(
                f"output {name} has the shape {array.shape} and the type {array.dtype}, expected {shape} and {dtype}"
            )
    if found.novelty is not None and (found.novelty.shape != (rows,) or found.novelty.dtype != _FLOAT64):
        raise WrongAnswerError(f"output {NOVELTY} has the shape {found.novelty.shape}, expected {(rows,)}")
    if not found.rows.size:
        return
    if found.rows.min() < 0 or found.rows.max() >= 2**32:
        raise WrongAnswerError(f"output {ROW} holds numbers of no row")
    if found.labels.min() < 0 or found.labels.max() >= classes:
        raise WrongAnswerError(f"output {LABEL} holds {found.labels.max()}, expected 0 to {classes - 1}")


def _longest_name(file: str, parsed: ModelProto) -> int:
    tensors: Mapping[str, Any] = {tensor.name: tensor for tensor in parsed.graph.initializer}
    longest = max((len(text) for tensor in tensors.values() for text in tensor.string_data), default=0)
    if longest > _MOST_NAME_BYTES:
        raise BundleError(f"{file} holds a name of more than {_MOST_NAME_BYTES} bytes; export the model again")
    return longest
