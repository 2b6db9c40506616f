"""Rows on their side, so that a feature's values lie beside each other and are compared at once."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_proto.matrix import FloatMatrix

_MOST_ROWS: Final = 1024
_MOST_NUMBERS: Final = 2**16
# Truth values are bytes. Eight are added to eight others as one number; no byte overflows below 256 additions.
_LANE: Final = 8

Counts = npt.NDArray[np.uint32]
Bounds = npt.NDArray[np.float32]


class ColumnBuffer:
    """Up to `most` rows in memory that is used again: new memory each time would cost more than to count.

    NaN is a missing value, and neither above nor below anything.
    """

    def __init__(self, features: int, classes: int) -> None:
        """Allocate the memory.

        Args:
            features: f.
            classes: of the rows' answers; the more, the fewer rows are taken at once.

        """
        self.most: Final = max(1, min(_MOST_ROWS, _MOST_NUMBERS // max(features, classes)))
        width = -(-self.most // _LANE) * _LANE
        self._all = np.full((features, width), np.nan, dtype=np.float32)
        self._truth = np.zeros((features, width), dtype=np.bool_)
        self._lanes = self._truth.view(np.uint64)
        self._width = 0
        self.values = self._all[:, :0]
        """Shape (f, n)."""

    def fill(self, tables: Iterable[FloatMatrix]) -> None:
        """Copy rows, at most `most` of them, in the place of those before."""
        rows = 0
        for table in tables:
            self._all[:, rows : rows + len(table)] = table.T
            rows += len(table)
        self._width = -(-rows // _LANE) * _LANE
        self._all[:, rows : self._width] = np.nan
        self.values = self._all[:, :rows]

    def present(self) -> Counts:
        """Count each feature's values, shape (f,)."""
        values = self._all[:, : self._width]
        np.equal(values, values, out=self._truth[:, : self._width])
        return self._counted()

    def above(self, bounds: Bounds) -> Counts:
        """Count each feature's values above its bound, shape (f,)."""
        np.greater(self._all[:, : self._width], bounds[:, None], out=self._truth[:, : self._width])
        return self._counted()

    def outside(self, low: Bounds, high: Bounds) -> int:
        """Count the rows that have a value below its feature's `low` or above its `high`, shape (f,) each."""
        values, truth = self._all[:, : self._width], self._truth[:, : self._width]
        below = np.less(values, low[:, None], out=truth).any(axis=0)
        return int(np.count_nonzero(below | np.greater(values, high[:, None], out=truth).any(axis=0)))

    def _counted(self) -> Counts:
        sums = np.add.reduce(self._lanes[:, : self._width // _LANE], axis=1)
        return np.asarray(sums.view(np.uint8).reshape(-1, _LANE).sum(axis=1, dtype=np.uint32))
