"""How far the rows that are answered have drifted from the training rows: the PSI of each feature."""

from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_server.telemetry.answers.columns import ColumnBuffer
from genrestack_server.telemetry.answers.training_rows import DECILES, TrainingRows

PIECES: Final = 10
PIECE_ROWS: Final = 2_000
"""Rows by which the window slides; it is ten times as long."""
LEAST_ROWS: Final = 1_000
"""Values of a feature in the window before its PSI is told; of fewer it is mostly chance."""
_FLOOR: Final = 1e-4
_PRESENT: Final = DECILES


class DriftWindow:
    """Counts the values of the latest rows between the deciles of the training rows."""

    def __init__(self, training: TrainingRows) -> None:
        self._training = training
        # Of each piece and feature: values above each decile, and values at all.
        self._counts = np.zeros((PIECES, DECILES + 1, len(training.names)), dtype=np.uint32)
        self._rows = [0] * PIECES
        self._at = 0

    @property
    def rows(self) -> int:
        """Rows in the window."""
        return sum(self._rows)

    def add(self, columns: ColumnBuffer, rows: int) -> None:
        """Count rows, the gain divided out where the model does so; values that are missing are left out."""
        piece = self._counts[self._at]
        for above, deciles in zip(piece, self._training.deciles.T, strict=False):
            above += columns.above(deciles)
        piece[_PRESENT] += columns.present()
        self._rows[self._at] += rows
        if self._rows[self._at] >= PIECE_ROWS:
            self._at = (self._at + 1) % PIECES
            self._counts[self._at], self._rows[self._at] = 0, 0

    def worst(self, most: int) -> list[tuple[str, float]]:
        """Return the features of the largest PSI with it, the largest first."""
        psi = self._psi()
        known = np.flatnonzero(np.isfinite(psi))
        order = known[np.argsort(-psi[known], kind="stable")][:most]
        return [(self._training.names[feature], float(psi[feature])) for feature in order]

    def _psi(self) -> npt.NDArray[np.float64]:
        """Compute each feature's PSI, shape (f,); NaN where too few rows have a value, or deciles are not known.

        The population stability index (N. Siddiqi, Credit Risk Scorecards, Wiley 2006, chapter 9), which is the
        symmetric divergence of Jeffreys and Kullback: Σ (a - e) ln(a / e) over ten bins, e the share of the training
        rows in a bin and a that of the rows answered. Below 0.1 is a small change, above 0.25 a large one.
        A share of 0 is taken for 0.0001, without which one empty bin would make it infinite.
        """
        total = self._counts.sum(axis=0, dtype=np.int64)
        present = total[_PRESENT]
        above = np.vstack([present, total[:DECILES], np.zeros_like(present)])
        actual = np.maximum(-np.diff(above, axis=0) / np.maximum(present, 1), _FLOOR)
        expected = np.maximum(self._training.shares.T, _FLOOR)
        psi = ((actual - expected) * np.log(actual / expected)).sum(axis=0)
        return np.where((present >= LEAST_ROWS) & self._training.measured, psi, np.nan)
