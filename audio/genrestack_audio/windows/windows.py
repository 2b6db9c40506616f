"""Cutting a recording into windows, while it is still being read."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import N_FFT, RATE

_LONGEST = 600.0


@dataclass(frozen=True)
class Windows:
    """How a recording is cut. The default is how the published 3-second table was cut."""

    seconds: float = 3.0
    """Length of a window. Like the published ones it is one sample shorter: 66,149 samples for 3 s."""
    hop: float | None = None
    """Seconds from one window's beginning to the next one's; None: windows follow each other."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.length >= N_FFT and self.seconds <= _LONGEST):
            least = math.ceil((N_FFT + 1) / RATE * 100) / 100
            raise AudioError(f"a window of {self.seconds:g} s cannot be used; choose {least:g} to {_LONGEST:g} s")
        if self.hop is not None and not (math.isfinite(self.hop) and self.step >= 1):
            raise AudioError(f"a hop of {self.hop:g} s cannot be used; choose a time above 0, such as {self.seconds:g}")

    @property
    def length(self) -> int:
        """Samples in a window."""
        return round(self.seconds * RATE) - 1

    @property
    def step(self) -> int:
        """Samples from one window's beginning to the next one's."""
        return round((self.seconds if self.hop is None else self.hop) * RATE)


def cut(blocks: Iterable[np.ndarray], windows: Windows) -> Iterator[np.ndarray]:
    """Cut windows out of blocks of samples; what does not fill a window at the end is left out.

    Args:
        blocks: float32, shape (m,) each, at 22,050 Hz.
        windows: length and distance.

    Yields:
        float32, shape (length,); a few of them and one block are held in memory.

    """
    kept = np.empty(0, dtype=np.float32)
    skip = 0
    for block in blocks:
        kept = np.concatenate([kept, block[skip:]])
        skip = max(0, skip - len(block))
        while len(kept) >= windows.length:
            yield kept[: windows.length]
            skip = max(0, windows.step - len(kept))
            kept = kept[windows.step :]
