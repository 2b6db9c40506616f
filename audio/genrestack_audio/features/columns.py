"""Names, order and constants of the published feature tables; importing this costs nothing."""

from typing import Final

RATE: Final = 22_050
"""Samples a second that every feature is computed at, Hz."""
N_FFT: Final = 2048
"""Samples in a frame of the spectrogram."""
HOP: Final = 512
"""Samples from one frame to the next."""
MFCCS: Final = 20

_CURVES: Final = (
    "chroma_stft",
    "rms",
    "spectral_centroid",
    "spectral_bandwidth",
    "rolloff",
    "zero_crossing_rate",
    "harmony",
    "perceptr",
)


def _moments(*curves: str) -> tuple[str, ...]:
    return tuple(f"{curve}_{moment}" for curve in curves for moment in ("mean", "var"))


FEATURE_NAMES: Final = (*_moments(*_CURVES), "tempo", *_moments(*(f"mfcc{i}" for i in range(1, MFCCS + 1))))
"""The 57 columns in the order of the published tables.

`perceptr` is the percussive signal, `harmony` the harmonic one, of the harmonic/percussive split; variances are the
population's.
"""
