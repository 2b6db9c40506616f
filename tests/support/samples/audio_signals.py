"""Made signals that test the corners of the recipe."""

import numpy as np

from genrestack_audio import RATE


def music(seconds: float, *, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Chords with a beat and some noise: float32, shape (n,)."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    chords = 110 * 2 ** (rng.integers(0, 24, size=(8, 3)) / 12)
    chord = chords[(time * 2).astype(int) % 8]
    tone = np.sin(2 * np.pi * chord * time[:, None]).mean(axis=1)
    beat = np.exp(-((time * 2.1) % 1) * 30) * rng.normal(size=time.size)
    return np.asarray(0.4 * tone + 0.3 * beat + 0.01 * rng.normal(size=time.size), dtype=np.float32)


def click_in_silence() -> np.ndarray:
    """A single sample of sound: the medians around it are zero."""
    samples = np.zeros(66_149, dtype=np.float32)
    samples[30_000] = 1
    return samples


def gap() -> np.ndarray:
    """Music with digital silence in its middle."""
    samples = music(3)[:-1]
    samples[20_000:50_000] = 0
    return samples


SIGNALS = {
    "music": music(3)[:-1],
    "other music": music(3, seed=1)[:-1],
    "longer": music(7.3, seed=2),
    "short": music(0.3, seed=3),
    "one frame": music(1, seed=4)[:2048],
    "noise": np.random.default_rng(5).normal(scale=0.1, size=66_149).astype(np.float32),
    "clipped": np.clip(20 * music(3, seed=6), -1, 1),
    "quiet": music(3, seed=7) * np.float32(1e-5),
    "click": click_in_silence(),
    "gap": gap(),
}
