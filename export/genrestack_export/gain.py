"""`GainNormalizer`: how loud a recording was made is divided out of the columns that follow it."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from genrestack_common.text import quoted_list

REFERENCE: Final = "rms_mean"
"""The column that says how loud a window is."""
POWERS: Final = {
    REFERENCE: 1,
    "rms_var": 2,
    "harmony_mean": 1,
    "harmony_var": 2,
    "perceptr_mean": 1,
    "perceptr_var": 2,
}
"""Columns of the published tables that grow with a power of the gain."""
# A cosine transform of unit length over 128 mel bands moves its first coefficient by √128 for each decibel.
SHIFTS: Final = {"mfcc1_mean": float(np.sqrt(128))}
"""Columns of the published tables that move with the decibels of the gain, by so much for each."""
GAIN_COLUMNS: Final = (*POWERS, *SHIFTS)
"""All columns that follow the gain; the others of the published tables do not know it."""
SILENCE: Final = 1e-6
"""At most this loud (−120 dB of full scale) is silence, in which spectra lie at their floor and follow no gain."""


class GainNormalizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Divide each row's gain out, so that a song turned up or down has the same row.

    The gain g of a row is its `rms_mean`. What grows with g is divided by it, what grows with g² by g², and
    `mfcc1_mean` loses √128 · 20·log10 g; `rms_mean` itself becomes 1. All other columns stay, and so does a row of
    silence. In a row that lacks `rms_mean` (NaN) the columns that follow the gain are missing too.
    """

    def __init__(self, feature_names: Sequence[str] | None = None) -> None:
        """Take the names of the columns.

        Args:
            feature_names: in the order of the rows' columns; None: those of the DataFrame that it is fitted on.

        """
        self.feature_names = feature_names

    def fit(self, X: Any, y: Any = None) -> "GainNormalizer":  # noqa: ARG002 - scikit-learn's signature
        """Find the columns by their names; nothing is learned of the rows.

        Raises:
            ValueError: nobody has named the columns, or one that follows the gain is not among them.

        """
        given = getattr(X, "columns", None) if self.feature_names is None else self.feature_names
        if given is None:
            raise ValueError("GainNormalizer finds columns by name; pass feature_names, or fit it on a DataFrame")
        names, width = [str(name) for name in given], np.shape(X)[1]
        if len(names) != width:
            raise ValueError(f"GainNormalizer has {len(names)} feature names for rows of {width} columns")
        if missing := missing_columns(names):
            raise ValueError(f"GainNormalizer needs the columns {quoted_list(missing)}, and the rows lack them")
        self.n_features_in_ = width
        self.feature_names_in_ = np.array(names, dtype=object)
        self.reference_ = names.index(REFERENCE)
        self.powers_ = np.array([POWERS.get(name, 0) for name in names])
        self.shifts_ = np.array([SHIFTS.get(name, 0.0) for name in names])
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float64]:
        """Divide the gain out of rows, shape (n, f).

        Raises:
            ValueError: they have other columns than the fit.

        """
        check_is_fitted(self, "powers_")
        columns = getattr(X, "columns", None)
        if columns is not None and list(columns) != list(self.feature_names_in_):
            raise ValueError("GainNormalizer was fitted on other columns or in another order; pass those of the fit")
        rows: npt.NDArray[np.float64] = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan")
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(f"GainNormalizer was fitted on {self.n_features_in_} columns, not {rows.shape[1]}")
        level = rows[:, self.reference_, None]
        gain = np.where(level <= SILENCE, 1.0, level)
        divisor = np.where(self.powers_ > 0, gain, 1.0) * np.where(self.powers_ > 1, gain, 1.0)
        shift = np.where(self.shifts_ != 0, self.shifts_ * (20 * np.log10(gain)), 0.0)
        return np.asarray(rows / divisor - shift)


def missing_columns(names: Iterable[str]) -> list[str]:
    """Return which columns that follow the gain are not among these names; the step needs all of them."""
    known = set(names)
    return [name for name in GAIN_COLUMNS if name not in known]


def gain_step(preprocessing: Any) -> GainNormalizer | None:
    """Return the step that divides the gain out of raw rows: what stands in front of a stack, or begins with it."""
    steps = getattr(preprocessing, "steps", None)
    first = steps[0][1] if steps else preprocessing
    return first if type(first) is GainNormalizer else None
