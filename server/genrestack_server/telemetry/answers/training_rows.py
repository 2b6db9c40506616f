"""What a manifest tells of the training rows, as rows that are answered are compared with it."""

from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_proto.v1.model_pb2 import Model
from genrestack_server.telemetry.answers.columns import Bounds, ColumnBuffer

DECILES: Final = 9
SLACK: Final = 0.01
"""How far outside its range, in widths of that, a value still counts as inside; clients go by the same."""

_Floats = npt.NDArray[np.float64]


class TrainingRows:
    """Ranges and deciles of a model's training rows, in float32, in which rows travel."""

    def __init__(self, model: Model) -> None:
        """Read a manifest; what it does not tell is not compared."""
        names = [feature.name for feature in model.features]
        self._gain_row = names.index(model.gain_feature) if model.gain_feature in names else None
        self._silence = model.gain_silence
        follows = [self._gain_row is not None and feature.HasField("gain") for feature in model.features]
        self._following = np.flatnonzero(follows)
        gains = [model.features[row].gain for row in self._following]
        self._powers = np.array([[gain.power] for gain in gains], dtype=np.float64)
        self._shifts = np.array([[gain.shift] for gain in gains], dtype=np.float64)
        ranges = [
            feature.gain if followed else feature for feature, followed in zip(model.features, follows, strict=True)
        ]
        low = np.array([seen.seen_min if seen.HasField("seen_min") else -np.inf for seen in ranges])
        high = np.array([seen.seen_max if seen.HasField("seen_max") else np.inf for seen in ranges])
        slack = SLACK * _widths(low, high)
        self._low, self._high = _narrow(low - slack), _narrow(high + slack)
        self.names = names
        self.deciles: Bounds = _narrow(np.array([_deciles(feature.quantiles) for feature in model.features]))
        """Shape (f, 9); NaN where they are not known."""
        self.measured: npt.NDArray[np.bool_] = ~np.isnan(self.deciles[:, 0])
        """Whether they are, shape (f,)."""
        self.shares: _Floats = np.array([_shares(model, name) for name in names])
        """Share of the training rows in each of the ten bins between them, shape (f, 10)."""

    def divide_gain(self, columns: ColumnBuffer) -> None:
        """Divide the gain out of rows where the model does so."""
        if self._gain_row is None or not len(self._following):
            return
        values = columns.values
        level = values[self._gain_row].astype(np.float64)
        gain = np.where(level <= self._silence, 1.0, level)
        with np.errstate(all="ignore"):
            shift = self._shifts * 20 * np.log10(gain)
            values[self._following] = values[self._following] / gain**self._powers - shift

    def outside(self, columns: ColumnBuffer) -> int:
        """Count the rows of which a feature is outside the range of the training rows."""
        return columns.outside(self._low, self._high)


def _deciles(quantiles: npt.ArrayLike) -> _Floats:
    """Return what may be deciles, shape (9,); NaN if it cannot be."""
    found = np.asarray(quantiles, dtype=np.float64)
    can_be = found.shape == (DECILES,) and bool(np.isfinite(found).all() and (np.diff(found) >= 0).all())
    return found if can_be else np.full(DECILES, np.nan)


def _shares(model: Model, name: str) -> _Floats:
    """Return a feature's share of training rows in each bin, shape (10,); a tenth each where nothing else is told."""
    below = np.arange(1, DECILES + 1) / (DECILES + 1)
    if name in model.quantile_shares:
        told = np.asarray(model.quantile_shares[name].values, dtype=np.float64)
        whole = np.concatenate([[0.0], told, [1.0]])
        if told.shape == (DECILES,) and (np.diff(whole) >= 0).all():
            below = told
    return np.diff(below, prepend=0.0, append=1.0)


def _widths(low: _Floats, high: _Floats) -> _Floats:
    """Width of each range; of a feature that never changed, its size; 1 where there is neither."""
    with np.errstate(all="ignore"):
        width, size = high - low, np.maximum(np.abs(low), np.abs(high))
        chosen = np.where(width > 0, width, size)
        return np.where(np.isfinite(chosen) & (chosen > 0), chosen, 1.0)


def _narrow(values: _Floats) -> Bounds:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
