"""A composed graph in onnxruntime."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_bundle.errors import BundleError, LoadCancelledError, ProviderError
from genrestack_bundle.runtime.answer import Answer
from genrestack_bundle.runtime.compose import CLASS_INDEX, FEATURES, PROBABILITIES, base_output
from genrestack_bundle.runtime.providers import PROVIDERS, Provider, candidates, import_onnxruntime, ort_errors, start
from genrestack_bundle.runtime.slices import Outputs, run_slices, slice_bounds
from genrestack_bundle.runtime.uint8_to_float32 import uint8_to_float32
from genrestack_bundle.runtime.watchdog import Cancellation, LoadLimit, TimeLimit
from genrestack_common.resources import usable_cpus

if TYPE_CHECKING:
    import onnxruntime

LOAD_S: Final = 300.0
"""Seconds in which a session has to be created."""


class ComposedSession:
    """A composed graph in onnxruntime; `run` may be called from several threads at once."""

    def __init__(
        self,
        graph: bytes,
        *,
        part_names: Sequence[str],
        provider: str = "auto",
        threads: int | None = None,
        device: int = 0,
        bound: bool | None = None,
        operators: Path | None = None,
        within_s: float = LOAD_S,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Load a composed graph.

        Args:
            graph: what `compose` made.
            part_names: the base estimators' names, in the order of the stack.
            provider: `cpu`, `cuda`, `tensorrt`, or `auto`, the best of them that starts here; which of those answers
                rightly is for `verified_session` to say.
            threads: how many compute the rows of one run; None: as many as this process may use.
            device: number of the GPU, where the provider runs on one.
            operators: library of operators that the graph uses beside the standard's.
            bound: whether rows are handed over where the graph runs, so that they cross once; None: on a GPU.
            within_s: seconds after which loading is given up.
            cancellation: what may end the loading before.

        Raises:
            ProviderError: the provider is not there, does not start, or takes nothing of the graph.
            BundleError: onnxruntime refuses the graph, or needs too long to load it.
            LoadCancelledError: the loading was cancelled.

        """
        ort = import_onnxruntime()
        self.threads = threads or usable_cpus()
        self.part_names = tuple(part_names)
        wanted = _chosen(provider, device)

        # On a CPU the threads are divided among slices of the rows, see `slices`, and each run has one.
        options = session_options(ort, self.threads if wanted.gpu else 1)
        if operators is not None:
            _register(options, operators)
        limit = LoadLimit(options, seconds=within_s, cancellation=cancellation)
        self._session = load_session(ort, graph, wanted, device, options, limit)
        self.gpu = wanted.gpu
        self.provider = wanted.name
        """onnxruntime's name of the provider that runs what it can of the graph."""
        self.nodes: Mapping[str, int] = _nodes(self._session)
        """How many of the graph's nodes each provider runs, by onnxruntime's name; most first."""
        if wanted.name not in self.nodes:
            raise ProviderError(f"{wanted.name} runs none of the graph's operators; choose --provider cpu")
        self.provider_options: dict[str, str] = dict(self._session.get_provider_options()[self.provider])
        self._outputs = [CLASS_INDEX, PROBABILITIES, *map(base_output, self.part_names)]
        self._bound = wanted.gpu if bound is None else bound
        self._place = wanted.place, device if wanted.place != "cpu" else 0

    def run(self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None" = None) -> Answer:
        """Run n rows of unscaled features, float32 of shape (n, f); `options` are onnxruntime's for one run."""

        def compute(part: slice) -> Outputs:
            return self._compute(rows[part], options)

        slices = [slice(None)] if self.gpu else slice_bounds(len(rows), self.threads)
        index, probabilities, *base = run_slices(compute, slices, self.threads)
        return Answer(index, probabilities, dict(zip(self.part_names, base, strict=True)))

    def _compute(self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None") -> Outputs:
        if self._bound and len(rows):
            return self._compute_bound(rows, options)
        outputs: Outputs = self._session.run(self._outputs, {FEATURES: rows}, options)
        return outputs

    def _compute_bound(self, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions | None") -> Outputs:
        """Copy the rows to where the graph begins, once, and each answer back, once."""
        binding = self._session.io_binding()
        rows = np.ascontiguousarray(rows)
        value = import_onnxruntime().OrtValue.ortvalue_from_numpy(rows, *self._place)
        binding.bind_ortvalue_input(FEATURES, value)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, options)
        outputs: Outputs = binding.copy_outputs_to_cpu()
        return outputs


@cache
def _run_options_class() -> "type[onnxruntime.RunOptions]":
    kind: type[onnxruntime.RunOptions] = import_onnxruntime().RunOptions
    return kind


class RunLimit(TimeLimit):
    """Limits one run, or several in a row: hand `options` to `ComposedSession.run`."""

    __slots__ = ("options",)

    def __init__(
        self, *, at: float = math.inf, seconds: float = math.inf, cancellation: Cancellation | None = None
    ) -> None:
        super().__init__(at=at, seconds=seconds, cancellation=cancellation)
        self.options: onnxruntime.RunOptions = _run_options_class()()

    def _notify(self) -> None:
        self.options.terminate = True


def _chosen(word: str, device: int) -> Provider:
    """Return the first candidate provider that starts here; raises the last one's reason if none does."""
    *others, last = (PROVIDERS[each] for each in candidates(word))
    for provider in others:
        try:
            start(provider, device)
        except ProviderError:
            continue
        return provider
    start(last, device)
    return last


def load_session(
    ort: Any, graph: bytes, provider: Provider, device: int, options: "onnxruntime.SessionOptions", limit: TimeLimit
) -> "onnxruntime.InferenceSession":
    """Create a session on a provider, within a limit.

    Raises:
        BundleError: onnxruntime refuses the graph, or needs too long to load it.
        ProviderError: the provider does not start.
        LoadCancelledError: the loading was cancelled.

    """
    settings = provider.settings(device)
    graph = uint8_to_float32(graph) if provider.gpu else graph
    try:
        with limit:
            session = ort.InferenceSession(
                graph,
                options,
                providers=settings,
                enable_fallback=False,
                # It runs parts of the graph, and neither a time limit nor a cancellation reaches it there. What an
                # export writes has nothing to fold but the shape of a constant.
                disabled_optimizers=["ConstantFolding"],
            )
    except ort_errors() as error:
        if limit.over:
            text = f"onnxruntime needs more than {limit.seconds:g} s to load the graph; export the model again"
            raise limit_error(limit, text) from error
        raise BundleError("onnxruntime refuses the composed graph; export the model again") from error
    if provider.name not in session.get_providers():
        raise ProviderError(f"{provider.name} did not start, and onnxruntime fell back; choose --provider cpu")
    return session


def limit_error(limit: TimeLimit, too_slow: str) -> Exception:
    """Return the error of a load that a limit has ended: it was cancelled, or too slow."""
    if limit.cancellation is not None and limit.cancellation.cancelled:
        return LoadCancelledError("the loading was cancelled")
    return BundleError(too_slow)


def _register(options: "onnxruntime.SessionOptions", library: Path) -> None:
    try:
        options.register_custom_ops_library(str(library))
    except ort_errors() as error:
        raise BundleError("onnxruntime refuses the library of operators") from error


def session_options(ort: Any, threads: int) -> "onnxruntime.SessionOptions":
    """Return the options that all sessions have."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread burns the CPU quota of a container and starves its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Remembers which provider took which node, for people to see.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # What goes wrong is raised; as text of its own, in colours, it would stand in the log once more for every run.
    options.log_severity_level = 4
    return options


def _nodes(session: "onnxruntime.InferenceSession") -> dict[str, int]:
    """Count the nodes that each provider was given, as onnxruntime divided the graph."""
    counted: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counted[part.ep_name] += len(part.get_nodes())
    return dict(counted.most_common())
