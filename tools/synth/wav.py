"""16-bit .wav files, with nothing but the standard library."""

import wave
from pathlib import Path

import numpy as np

STEP = 1.0 / 32768.0
"""The distance of two values of 16-bit sound."""


def write_wav(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Write a mono recording; what `render` made is held exactly.

    Args:
        path: the file; replaced if it exists.
        samples: floating, shape (n,), within [−1, 1].
        rate: samples a second.

    """
    steps = np.clip(np.round(np.asarray(samples, dtype=np.float64) / STEP), -32768, 32767).astype("<i2")
    with Path(path).open("wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(steps.tobytes())
