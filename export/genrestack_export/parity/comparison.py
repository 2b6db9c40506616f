"""The parity check of an export: the composed graph against the original estimators, whole and part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genrestack_bundle import ComposedSession, Golden, ParityError
from genrestack_bundle.parity import STACK, agrees, compute_parity, describe, largest_difference
from genrestack_bundle.runtime.answer import Answer
from genrestack_export.converters.parts import ConvertedPart, Precision
from genrestack_proto.v1.model_pb2 import Parity

# Absolute differences of a probability.
SINGLE = 5e-4
DOUBLE_STACK = 5e-6

_GOLDEN_ROWS = 64
_LEAST_GAPS = 16
"""Golden rows with missing values, of a model that accepts them."""


@dataclass(frozen=True)
class ParityResult:
    """A passed parity check."""

    parity: Parity
    golden: Golden
    """Rows to verify the bundle with wherever it is loaded."""


@dataclass(frozen=True)
class ExpectedOutputs:
    """What the original predicted."""

    golden: Golden
    """Rows, ties left out, and its answers."""
    origins: Sequence[str]
    """Where each of these rows comes from, for people."""
    ties: int
    """How many rows were left out."""


def tolerances(parts: Sequence[ConvertedPart], precision: Precision) -> dict[str, float]:
    """Largest difference each base part, and the whole under "stack", may show."""
    if precision == "single":
        return {STACK: SINGLE, **{part.part.name: SINGLE for part in parts}}
    return {STACK: DOUBLE_STACK, **{part.part.name: part.tolerance_double for part in parts}}


def check_parity(
    session: ComposedSession, expected: ExpectedOutputs, allowed: dict[str, float], *, single: bool
) -> ParityResult:
    """Compare the composed graph's predictions with the original's.

    Args:
        session: the composed graph.
        expected: what the original answered.
        allowed: what `tolerances` gave.
        single: whether a part computes in float32 where the original has float64, so that "double" would be closer.

    Raises:
        ParityError: a label differs, or a probability by more than its tolerance; names the worst row.

    """
    golden = expected.golden
    answer = session.run(golden.rows)
    parity = compute_parity(answer, golden, allowed)
    parity.ties = expected.ties
    if not agrees(parity):
        advice = '. Try precision="double"' if single else ""
        raise ParityError(_parity_message(answer, expected, parity) + advice)
    return ParityResult(parity, _golden(answer, golden))


def _parity_message(answer: Answer, expected: ExpectedOutputs, parity: Parity) -> str:
    golden = expected.golden
    wrong = np.flatnonzero(answer.class_index != golden.class_index)
    # Among rows with another label, if there are any, the one that is furthest off; else among all.
    among = wrong if len(wrong) else np.arange(len(golden.rows))
    place, difference = largest_difference(answer.probabilities[among], golden.probabilities[among])
    row = int(among[place])
    labels = f", where the original says class {golden.class_index[row]} and the graph {answer.class_index[row]}"
    failed = [p.name for p in parity.parts if p.max_abs_difference > p.tolerance]
    return (
        f"the graphs do not answer what the original answers: {describe(parity)}. Worst is {expected.origins[row]} "
        f"(|Δp| {difference:.1e}){labels if len(wrong) else ''}; "
        f"parts beyond their tolerance: {', '.join(failed) or 'none'}. No bundle was written"
    )


def _golden(answer: Answer, expected: Golden) -> Golden:
    """Choose the rows to keep: those with the largest differences, some with gaps, then evenly from the rest."""
    difference = np.abs(answer.probabilities - expected.probabilities).max(axis=1)
    order = np.argsort(-difference, kind="stable")
    hard = order[: _GOLDEN_ROWS // 4]
    rest = np.sort(order[len(hard) :])
    with_gaps = rest[np.isnan(expected.rows[rest]).any(axis=1)]
    gaps = with_gaps[:: max(1, len(with_gaps) // _LEAST_GAPS)][:_LEAST_GAPS]
    rest = np.setdiff1d(rest, gaps)
    step = max(1, -(-len(rest) // (_GOLDEN_ROWS - len(hard) - len(gaps))))
    return expected.take(np.sort(np.concatenate([hard, gaps, rest[::step]])).astype(np.int64))
