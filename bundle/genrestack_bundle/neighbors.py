"""The nearest training rows of some rows, as they are found and as a bundle's golden rows expect them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MAX_NEIGHBORS: Final = 10
"""Nearest training rows that are found for a row at most."""
NOVELTY_NEIGHBORS: Final = 3
"""Nearest training rows that a row's novelty is made of."""
# Sums of some dozens of float64 differ by less, in whatever order they are added up.
_RELATIVE: Final = 1e-9
# A projection comes before it; what is told of it has two digits.
_NOVELTY_RELATIVE: Final = 1e-6


@dataclass(frozen=True)
class FoundNeighbors:
    """The k nearest training rows of n rows, nearest first; of equals, the lowest row first."""

    rows: npt.NDArray[np.int64]
    """Numbers of the training rows in the order of the fit, from 0; shape (n, k)."""
    distances: npt.NDArray[np.float64]
    """Shape (n, k), ascending in each row."""
    labels: npt.NDArray[np.int64]
    """Column of each one's class, shape (n, k)."""
    names: npt.NDArray[np.object_] | None = None
    """The training rows' names, shape (n, k); None where the bundle has none."""
    novelty: npt.NDArray[np.float64] | None = None
    """How far each row is from the training rows, in units of what is usual, shape (n,); None where nobody knows."""

    def take(self, index: npt.NDArray[np.int64] | slice) -> "FoundNeighbors":
        """Select some of the n rows."""
        names = None if self.names is None else self.names[index]
        novelty = None if self.novelty is None else self.novelty[index]
        return FoundNeighbors(self.rows[index], self.distances[index], self.labels[index], names, novelty)


def differing_row(found: FoundNeighbors, expected: FoundNeighbors) -> int | None:
    """Return the first of the n rows for which other neighbours were found than expected; None if there is none.

    Distances may differ by rounding. So may the order of rows that are equally far but for that.
    """
    slack = _RELATIVE * np.maximum(expected.distances, 1)
    wrong = ~(np.abs(found.distances - expected.distances) <= slack)
    equal = np.diff(expected.distances, axis=1) <= slack[:, 1:]
    may_swap = np.zeros(expected.rows.shape, dtype=np.bool_)
    may_swap[:, 1:] |= equal
    may_swap[:, :-1] |= equal
    # The last one's equal may be the first that was left out.
    may_swap[:, -1] = True
    same = found.rows == expected.rows
    wrong |= np.where(same, found.labels != expected.labels, ~may_swap)
    if found.novelty is not None and expected.novelty is not None:
        off = np.abs(found.novelty - expected.novelty)
        wrong[:, 0] |= ~(off <= _NOVELTY_RELATIVE * np.maximum(expected.novelty, 1))
    rows = np.flatnonzero(wrong.any(axis=1))
    return int(rows[0]) if len(rows) else None
