"""Chance that falls the same way everywhere."""

from collections.abc import Sequence
from typing import Self, TypeVar
from zlib import crc32

import numpy as np

T = TypeVar("T")


class Dice:
    """Draws from PCG64, all of them made of plain uniform numbers.

    NumPy keeps the bits of PCG64 as they are from version to version, but not its distributions; uniform numbers are
    the bits themselves, scaled.
    """

    def __init__(self, *key: str | int) -> None:
        self._key = key
        words = [crc32(part.encode()) if isinstance(part, str) else part for part in key]
        self._generator = np.random.Generator(np.random.PCG64(words))

    def fork(self, name: str) -> Self:
        """Create a generator for one purpose, so that drawing more for it changes nothing elsewhere."""
        return type(self)(*self._key, name)

    def between(self, low: float, high: float) -> float:
        """Draw from [low, high)."""
        return low + (high - low) * self._generator.random()

    def evenly(self, low: float, high: float) -> float:
        """Draw from [low, high), 0 < low, so that each octave is as likely as another."""
        return float(low * (high / low) ** self._generator.random())

    def chance(self, probability: float) -> bool:
        """Return True with that probability."""
        return bool(self._generator.random() < probability)

    def choose(self, options: Sequence[T]) -> T:
        """Return one, each as likely as another."""
        return options[int(self._generator.random() * len(options))]

    def noise(self, samples: int) -> np.ndarray:
        """Draw white noise: float64, shape (samples,), within [−1, 1)."""
        return 2.0 * self._generator.random(samples) - 1.0
