"""What a composed graph answers, and whether that can be an answer at all: shapes, types, ranges."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from genrestack_bundle.neighbors import FoundNeighbors

# What float32 arithmetic and many classes may cost; the client allows as much.
_SUM_TOLERANCE: Final = 1e-3
# Up to this many values, Python's own numbers are quicker than numpy's calls.
_FEW: Final = 64
_INT64: Final = np.dtype(np.int64)
_FLOAT32: Final = np.dtype(np.float32)


class WrongAnswerError(Exception):
    """A graph answered what cannot be an answer; the message names the output at fault."""


@dataclass(frozen=True)
class Answer:
    """What the stack says of n rows."""

    class_index: npt.NDArray[np.int64]
    """Column of the predicted class, shape (n,)."""
    probabilities: npt.NDArray[np.float32]
    """Shape (n, k)."""
    base: dict[str, npt.NDArray[np.float32]]
    """Each base estimator's probabilities, shape (n, k), by its name in the stack."""
    neighbors: FoundNeighbors | None = None
    """The nearest training rows, where they were searched for."""


def verify_answer(answer: Answer, rows: int, classes: int) -> bool:
    """Check shapes, types and ranges of an answer to n rows; return whether all its probabilities are finite.

    Rows without a finite answer are the caller's to refuse: a model may overflow on values far outside its training
    range. What base estimators answer is checked for shape and type alone, as a network without a last softmax
    answers other numbers than probabilities.

    Args:
        answer: what `ComposedSession.run` returned.
        rows: n.
        classes: number of classes, k.

    Raises:
        WrongAnswerError: an output has another shape or type, a class index that there is no class for, or
            probabilities that are negative or do not add up to 1 in a row.

    """
    index, table = answer.class_index, answer.probabilities
    _check_layout("class_index", index, (rows,), _INT64)
    shape = (rows, classes)
    _check_layout("probabilities", table, shape, _FLOAT32)
    for name, base in answer.base.items():
        _check_layout(f"probabilities.{name}", base, shape, _FLOAT32)
    if not rows:
        return True
    _check_index(index, classes)
    return _are_probabilities(table) or _check_finite_rows(table)


def _check_layout(name: str, array: npt.NDArray[np.generic], shape: tuple[int, ...], dtype: "np.dtype[Any]") -> None:
    if array.shape != shape or array.dtype != dtype:
        raise WrongAnswerError(
            f"output {name} has the shape {array.shape} and the type {array.dtype}, expected {shape} and {dtype}"
        )


def _check_index(index: npt.NDArray[np.int64], classes: int) -> None:
    low, high = (index.item(),) * 2 if len(index) == 1 else (int(index.min()), int(index.max()))
    if low < 0 or high >= classes:
        raise WrongAnswerError(f"output class_index holds {low if low < 0 else high}, expected 0 to {classes - 1}")


def _are_probabilities(table: npt.NDArray[np.float32]) -> bool:
    """Return whether all values are 0 or more and add up to 1 in every row; no value is above 1 then, and none NaN."""
    if len(table) == 1 and table.size <= _FEW:
        row: list[float] = table[0].tolist()
        return min(row) >= 0 and abs(sum(row) - 1) <= _SUM_TOLERANCE
    return bool(_right_rows(table).all())


def _right_rows(table: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        off = np.abs(table.sum(axis=1) - 1)
        right: npt.NDArray[np.bool_] = (table.min(axis=1) >= 0) & (off <= _SUM_TOLERANCE)
    return right


def _check_finite_rows(table: npt.NDArray[np.float32]) -> bool:
    """Reject a wrong row among those that are finite; return whether all are."""
    finite = np.isfinite(table).all(axis=1)
    wrong = np.flatnonzero(finite & ~_right_rows(table))
    if len(wrong):
        values = table[wrong[0]].astype(np.float64)
        raise WrongAnswerError(
            f"output probabilities has values from {values.min():g} to {values.max():g} with a sum of "
            f"{values.sum():g} in row {wrong[0]}, expected values from 0 to 1 with a sum of 1"
        )
    return bool(finite.all())
