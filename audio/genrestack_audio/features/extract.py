"""From one piece of sound to its 57 features."""

from collections.abc import Iterable

import numpy as np

from genrestack_audio.features import curves
from genrestack_audio.features.separation import separate
from genrestack_audio.features.spectrum import spectrum


def features_of(samples: np.ndarray) -> np.ndarray:
    """Compute the 57 features of one piece of sound.

    Args:
        samples: float32, shape (n,), finite; mono at 22,050 Hz; n ≥ 2048.

    Returns:
        float64, shape (57,); in the order of `FEATURE_NAMES`.

    """
    shared = spectrum(samples)
    decibels = curves.mel_decibels(shared)
    first = [
        curves.chroma(shared),
        curves.rms(samples),
        *curves.centroid_and_bandwidth(shared),
        curves.rolloff(shared),
        curves.zero_crossing_rate(samples),
        *separate(shared),
    ]
    return np.array([*_moments(first), curves.tempo(decibels), *_moments(curves.mfcc(decibels).T)])


def _moments(of: Iterable[np.ndarray]) -> list[float]:
    """Mean and population variance of each curve, summed up in double precision."""
    return [float(moment(curve, dtype=np.float64)) for curve in of for moment in (np.mean, np.var)]
