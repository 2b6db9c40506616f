"""The proof of an export: the composed graph against the original estimators, whole and part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genrestack_bundle import ComposedSession, Golden, ParityError
from genrestack_bundle.parity import STACK, agrees, describe, measure, worst
from genrestack_bundle.session import Answer
from genrestack_export.parts import ConvertedPart, Precision
from genrestack_proto.v1.model_pb2 import Parity

# Absolute differences of a probability.
SINGLE = 5e-4
DOUBLE_STACK = 5e-6

_GOLDEN_ROWS = 64


@dataclass(frozen=True)
class Proof:
    """A passed proof."""

    parity: Parity
    golden: Golden
    """Rows to prove the bundle with wherever it is loaded."""


def tolerances(parts: Sequence[ConvertedPart], precision: Precision) -> dict[str, float]:
    """Largest difference each base part, and the whole under "stack", may show."""
    if precision == "single":
        return {STACK: SINGLE, **{part.part.name: SINGLE for part in parts}}
    return {STACK: DOUBLE_STACK, **{part.part.name: part.tolerance_double for part in parts}}


def prove_export(session: ComposedSession, expected: Golden, allowed: dict[str, float], ties: int) -> Proof:
    """Compare the composed graph with what the original answered.

    Args:
        session: the composed graph.
        expected: rows and the original's answers, ties left out.
        allowed: what `tolerances` gave.
        ties: how many rows were left out.

    Raises:
        ParityError: a label differs, or a probability by more than its tolerance; names the worst row.

    """
    answer = session.run(expected.rows)
    parity = measure(answer, expected, allowed)
    parity.ties = ties
    if not agrees(parity):
        raise ParityError(_complaint(answer, expected, parity))
    return Proof(parity, _golden(answer, expected))


def _complaint(answer: Answer, expected: Golden, parity: Parity) -> str:
    wrong = np.flatnonzero(answer.class_index != expected.class_index)
    row, difference = worst(answer.probabilities, expected.probabilities)
    row = int(wrong[0]) if len(wrong) else row
    labels = f"; the original says class {expected.class_index[row]}, the graph {answer.class_index[row]}"
    failed = [p.name for p in parity.parts if p.max_abs_difference > p.tolerance]
    return (
        f"the graphs do not answer what the original answers: {describe(parity)}. Worst row of the proof: {row} "
        f"(|Δp| {difference:.1e}{labels if len(wrong) else ''}); "
        f"parts beyond their tolerance: {', '.join(failed) or 'none'}. No bundle was written"
    )


def _golden(answer: Answer, expected: Golden) -> Golden:
    """Choose the rows to keep: those with the largest differences, then evenly from the rest."""
    difference = np.abs(answer.probabilities - expected.probabilities).max(axis=1)
    order = np.argsort(-difference, kind="stable")
    hard = order[: _GOLDEN_ROWS // 4]
    rest = np.sort(order[len(hard) :])
    step = max(1, -(-len(rest) // (_GOLDEN_ROWS - len(hard))))
    return expected.take(np.sort(np.concatenate([hard, rest[::step]])).astype(np.int64))
