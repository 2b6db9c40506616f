"""Comparing answers of a composed graph with the original estimator's."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genrestack_bundle.errors import BundleError, ParityError
from genrestack_bundle.golden import Golden
from genrestack_bundle.providers import ort_errors
from genrestack_bundle.reader import Bundle
from genrestack_bundle.session import NARROW_ROWS, Answer, ComposedSession, ended_after
from genrestack_proto.v1.model_pb2 import Parity, PartParity

if TYPE_CHECKING:
    import onnxruntime

STACK = "stack"


def measure(answer: Answer, golden: Golden, tolerances: dict[str, float]) -> Parity:
    """Measure how far an answer is from the golden rows; `tolerances` by part name, the whole under `STACK`."""
    return Parity(
        rows=len(golden.rows),
        labels_agreed=int(np.count_nonzero(answer.class_index == golden.class_index)),
        max_abs_difference=worst(answer.probabilities, golden.probabilities)[1],
        tolerance=tolerances[STACK],
        parts=[
            PartParity(
                name=name,
                max_abs_difference=worst(answer.base[name], expected)[1],
                tolerance=tolerances[name],
            )
            for name, expected in golden.parts.items()
        ],
    )


def worst(found: npt.NDArray[np.floating], expected: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Row and size of the largest absolute difference; a NaN counts as infinite."""
    if not len(expected):
        return -1, 0.0
    difference = np.abs(found.astype(np.float64) - expected).max(axis=1)
    difference = np.where(np.isnan(difference), np.inf, difference)
    row = int(difference.argmax())
    return row, float(difference[row])


def agrees(parity: Parity) -> bool:
    """Tell whether all labels agree and every difference is within its tolerance."""
    return (
        parity.labels_agreed == parity.rows
        and parity.max_abs_difference <= parity.tolerance
        and all(part.max_abs_difference <= part.tolerance for part in parity.parts)
    )


def prove(session: ComposedSession, bundle: Bundle, *, within_s: float = 60.0) -> Parity:
    """Run a bundle's golden rows through its composed graph under the provider that really runs.

    Args:
        session: the composed graph.
        bundle: where the golden rows come from.
        within_s: seconds after which the graph is taken for one that never ends.

    Returns:
        what was measured, with the tolerances the bundle was written under.

    Raises:
        ParityError: a label differs, or a probability by more than its tolerance.
        BundleError: the graph fails on these rows, or answers in another shape.

    """
    written = bundle.model.parity
    tolerances = {part.name: part.tolerance for part in written.parts} | {STACK: written.tolerance}
    name = f"{bundle.path.parent.name}/{bundle.path.name}"
    rows = bundle.golden.rows
    advice = "serve it with --provider cpu" if session.gpu else "export it again"
    try:
        with ended_after(within_s) as options:
            answers = [session.run(rows, options), _in_small_batches(session, rows, options)]
    except ort_errors() as error:
        if options.terminate:
            raise BundleError(f"{name} needs more than {within_s:g} s for its golden rows; {advice}") from error
        raise BundleError(f"{name} cannot answer its golden rows under {session.provider}; {advice}") from error
    for answer in answers:
        _check_shapes(name, answer, bundle.golden)
        parity = measure(answer, bundle.golden, tolerances)
        if not agrees(parity):
            raise ParityError(
                f"{name} does not answer its golden rows under {session.provider}: {describe(parity)}; {advice}"
            )
    return parity


def _in_small_batches(
    session: ComposedSession, rows: npt.NDArray[np.float32], options: "onnxruntime.RunOptions"
) -> Answer:
    """Answer the rows as single callers would ask, which may take another way through the session."""
    starts = range(0, len(rows), NARROW_ROWS)
    answers = [session.run(rows[start : start + NARROW_ROWS], options) for start in starts]
    return Answer(
        np.concatenate([answer.class_index for answer in answers]),
        np.concatenate([answer.probabilities for answer in answers]),
        {name: np.concatenate([answer.base[name] for answer in answers]) for name in session.part_names},
    )


def _check_shapes(name: str, answer: Answer, golden: Golden) -> None:
    tables = [answer.probabilities, *answer.base.values()]
    if answer.class_index.shape != golden.class_index.shape or any(
        table.shape != golden.probabilities.shape for table in tables
    ):
        raise BundleError(f"{name} answers in another shape than its golden rows have; export it again")


def describe(parity: Parity) -> str:
    """One line for people: labels agreed, the whole stack's and each part's largest difference."""
    parts = ", ".join(f"{part.name} {part.max_abs_difference:.1e}" for part in parity.parts)
    return (
        f"labels {parity.labels_agreed} of {parity.rows}, "
        f"max |Δp| {parity.max_abs_difference:.1e} (tolerance {parity.tolerance:.0e}; {parts})"
    )
