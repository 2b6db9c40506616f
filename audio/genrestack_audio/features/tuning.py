"""How far music is tuned from A = 440 Hz, and the filters that fold its spectrum into twelve pitch classes."""

from functools import lru_cache

import librosa
import numpy as np
from librosa.filters import chroma

from genrestack_audio.features.columns import N_FFT, RATE

_LOWEST, _HIGHEST = 150.0, 4000.0
_LEAST_SHARE = 0.1
_CLASSES = 12


def estimate_tuning(power: np.ndarray) -> float:
    """Estimate the tuning as `librosa.estimate_tuning(S=power.T)` does, looking only where the pitches are.

    Peaks between 150 and 4,000 Hz, above a tenth of their frame's largest value, are placed between bins by a
    parabola; the stronger half of them votes.

    Args:
        power: float32, shape (t, 1025).

    Returns:
        Fraction of a semitone, from −0.5 to 0.5; 0 where nothing has a pitch.

    """
    frames, bins, strengths = _peaks(power)
    if not len(bins):
        return 0.0
    before, after = power[frames, bins - 1], power[frames, bins + 1]
    slope = (after - before) / 2
    curve = after + before - 2 * strengths
    # The top of a flat or lopsided parabola would lie beyond the neighbours: the bin itself is taken.
    off = np.zeros_like(slope)
    np.divide(-slope, curve, out=off, where=np.abs(slope) < np.abs(curve))
    pitches = ((bins + off) * RATE / N_FFT).astype(np.float32)
    magnitudes = strengths + slope * off / 2
    return float(librosa.pitch_tuning(pitches[magnitudes >= np.median(magnitudes)]))


def _peaks(power: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frequencies = librosa.fft_frequencies(sr=RATE, n_fft=N_FFT)
    first, end = np.searchsorted(frequencies, (_LOWEST, _HIGHEST))
    least = _LEAST_SHARE * power.max(axis=1, keepdims=True)
    inner = power[:, first:end]
    is_peak = (inner > least) & (inner > power[:, first - 1 : end - 1]) & (inner >= power[:, first + 1 : end + 1])
    frames, bins = np.nonzero(is_peak)
    return frames, bins + first, inner[is_peak]


@lru_cache(maxsize=128)
def chroma_filters(tuning: float) -> np.ndarray:
    """Build the filters for one of the hundred tunings: float32, shape (1025, 12); not to be changed."""
    return np.ascontiguousarray(chroma(sr=RATE, n_fft=N_FFT, tuning=tuning, n_chroma=_CLASSES).T)
