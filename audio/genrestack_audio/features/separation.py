"""The split into harmonic and percussive sound (Fitzgerald 2010): medians along time and frequency, soft masks."""

import numpy as np

from genrestack_audio.features.median import running_median
from genrestack_audio.features.spectrum import Spectrum, inverse

_WIDTH = 31


def separate(spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Split a piece of sound into what lasts and what strikes.

    The masks add up to one, so the percussive signal is what the harmonic one leaves over of the samples: one inverse
    transform less.

    Returns:
        Harmonic and percussive signal, each float32 of shape (n,), zeros after the last whole frame.

    """
    magnitude = spectrum.magnitude
    lasting = running_median(magnitude, _WIDTH)
    striking = running_median(np.ascontiguousarray(magnitude.T), _WIDTH).T
    part = inverse(spectrum.values * harmonic_mask(lasting, striking))
    harmonic, percussive = np.zeros_like(spectrum.samples), np.zeros_like(spectrum.samples)
    harmonic[: len(part)] = part
    percussive[: len(part)] = spectrum.samples[: len(part)] - part
    return harmonic, percussive


def harmonic_mask(lasting: np.ndarray, striking: np.ndarray) -> np.ndarray:
    """Weigh lasting² / (lasting² + striking²), so that squares of small numbers do not vanish; ½ where both are zero.

    Args:
        lasting: float32, shape (t, f), ≥ 0.
        striking: the same.

    Returns:
        float32, shape (t, f), from 0 to 1.

    """
    larger = np.maximum(lasting, striking)
    nothing = larger < np.finfo(larger.dtype).tiny
    larger[nothing] = 1
    squared = (np.minimum(lasting, striking) / larger) ** 2
    weaker = squared / (1 + squared)
    weaker[nothing] = 0.5
    return np.asarray(np.where(lasting >= striking, 1 - weaker, weaker))
