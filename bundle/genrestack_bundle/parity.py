"""Parity: a composed graph's answers against the original estimator's."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_bundle.errors import BundleError, ParityError
from genrestack_bundle.golden import Golden
from genrestack_bundle.reader import Bundle
from genrestack_bundle.runtime.answer import Answer, WrongAnswerError, verify_answer
from genrestack_bundle.runtime.providers import ort_errors
from genrestack_bundle.runtime.session import ComposedSession, RunLimit, limit_error
from genrestack_bundle.runtime.watchdog import Cancellation
from genrestack_proto.v1.model_pb2 import Parity, PartParity

STACK = "stack"
_FEW_ROWS: Final = 16


def compute_parity(answer: Answer, golden: Golden, tolerances: dict[str, float]) -> Parity:
    """Compute the difference of an answer from the golden rows; `tolerances` by part name, the whole under `STACK`."""
    return Parity(
        rows=len(golden.rows),
        labels_agreed=int(np.count_nonzero(answer.class_index == golden.class_index)),
        max_abs_difference=largest_difference(answer.probabilities, golden.probabilities)[1],
        tolerance=tolerances[STACK],
        parts=[
            PartParity(
                name=name,
                max_abs_difference=largest_difference(answer.base[name], expected)[1],
                tolerance=tolerances[name],
            )
            for name, expected in golden.parts.items()
        ],
    )


def largest_difference(found: npt.NDArray[np.floating], expected: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Return row and size of the largest absolute difference; a NaN counts as infinite."""
    if not len(expected):
        return -1, 0.0
    difference = np.abs(found.astype(np.float64) - expected).max(axis=1)
    difference = np.where(np.isnan(difference), np.inf, difference)
    row = int(difference.argmax())
    return row, float(difference[row])


def agrees(parity: Parity) -> bool:
    """Return whether all labels agree and every difference is within its tolerance."""
    return (
        parity.labels_agreed == parity.rows
        and parity.max_abs_difference <= parity.tolerance
        and all(part.max_abs_difference <= part.tolerance for part in parity.parts)
    )


def verify_parity(
    session: ComposedSession, bundle: Bundle, *, within_s: float = 60.0, cancellation: Cancellation | None = None
) -> Parity:
    """Run a bundle's golden rows through its composed graph under the provider that really runs.

    Args:
        session: the composed graph.
        bundle: where the golden rows come from.
        within_s: seconds after which the graph is taken for one that never ends.
        cancellation: what may end the runs before.

    Returns:
        what was measured, with the tolerances the bundle was written under.

    Raises:
        ParityError: a label differs, or a probability by more than its tolerance.
        BundleError: the graph fails on these rows, or answers what cannot be an answer.
        LoadCancelledError: the runs were cancelled.

    """
    written = bundle.model.parity
    tolerances = {part.name: part.tolerance for part in written.parts} | {STACK: written.tolerance}
    name = f"{bundle.path.parent.name}/{bundle.path.name}"
    advice = "serve it with --provider cpu" if session.gpu else "export it again"
    limit = RunLimit(seconds=within_s, cancellation=cancellation)
    for answer in _golden_answers(session, bundle, name, advice, limit):
        parity = compute_parity(answer, bundle.golden, tolerances)
        if not agrees(parity):
            raise ParityError(
                f"{name} does not answer its golden rows under {session.provider}: {describe(parity)}; {advice}"
            )
    return parity


def _golden_answers(session: ComposedSession, bundle: Bundle, name: str, advice: str, limit: RunLimit) -> list[Answer]:
    """Run the golden rows all at once, and in batches as small as single callers send."""
    rows, classes = bundle.golden.rows, bundle.golden.probabilities.shape[1]

    def run(some: npt.NDArray[np.float32]) -> Answer:
        answer = session.run(some, limit.options)
        verify_answer(answer, len(some), classes)
        return answer

    try:
        with limit:
            starts = range(0, len(rows), _FEW_ROWS)
            return [run(rows), _concatenate([run(rows[start : start + _FEW_ROWS]) for start in starts])]
    except WrongAnswerError as error:
        raise BundleError(f"{name} gives a wrong answer to its golden rows: {error}; {advice}") from error
    except ort_errors() as error:
        if limit.over:
            too_slow = f"{name} needs more than {limit.seconds:g} s for its golden rows; {advice}"
            raise limit_error(limit, too_slow) from error
        raise BundleError(f"{name} cannot answer its golden rows under {session.provider}; {advice}") from error


def _concatenate(answers: Sequence[Answer]) -> Answer:
    return Answer(
        np.concatenate([answer.class_index for answer in answers]),
        np.concatenate([answer.probabilities for answer in answers]),
        {name: np.concatenate([answer.base[name] for answer in answers]) for name in answers[0].base},
    )


def describe(parity: Parity) -> str:
    """Format one line for people: labels agreed, the whole stack's and each part's largest difference."""
    parts = ", ".join(f"{part.name} {part.max_abs_difference:.1e}" for part in parity.parts)
    return (
        f"labels {parity.labels_agreed} of {parity.rows}, "
        f"max |Δp| {parity.max_abs_difference:.1e} (tolerance {parity.tolerance:.0e}; {parts})"
    )
