"""The outline of a recording: one height for each tenth of a second, made while it is being read."""

from typing import Final

import numpy as np
import numpy.typing as npt

RATE: Final = 22_050
"""Hz of the samples."""
PER_SECOND: Final = 10
_SAMPLES: Final = RATE // PER_SECOND


class Peaks:
    """Collects the largest magnitude of each tenth of a second, as 0 to 255."""

    def __init__(self) -> None:
        self._rest: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self._ready: list[int] = []

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Add samples, float32, shape (m,)."""
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(samples) // _SAMPLES * _SAMPLES
        heights = np.abs(samples[:whole]).reshape(-1, _SAMPLES).max(axis=1, initial=0.0)
        self._ready.extend(np.rint(np.minimum(heights, 1.0) * 255).astype(int).tolist())
        self._rest = samples[whole:]

    def take(self) -> list[int]:
        """Return the heights that have come since the last time."""
        ready, self._ready = self._ready, []
        return ready
