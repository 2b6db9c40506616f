"""Rows with their gain divided out, as the model divides it out: what its ranges are compared with."""

import numpy as np
import numpy.typing as npt

from genrestack.model_info import GainInfo, ModelInfo

_FOLLOWS_NOTHING = GainInfo(0, 0.0)


class GainStep:
    """The first step of a model that divides the gain out of its rows."""

    def __init__(self, info: ModelInfo) -> None:
        """Read how the model's features follow the gain.

        Args:
            info: a model with a `gain_feature`.

        """
        gains = [feature.gain or _FOLLOWS_NOTHING for feature in info.features]
        self._column, self._silence = info.feature_names.index(info.gain_feature), info.gain_silence
        self._powers = np.array([gain.power for gain in gains])
        self._shifts = np.array([gain.shift for gain in gains])

    def __call__(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Divide the gain out of rows, shape (n, f); silence keeps its values."""
        level = rows[:, self._column, None]
        gain = np.where(level <= self._silence, 1.0, level)
        return np.asarray(rows / gain**self._powers - self._shifts * 20 * np.log10(gain))
