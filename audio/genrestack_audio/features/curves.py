"""What a piece of sound is like frame by frame: one function a curve, all from the same spectrum."""

from functools import cache

import librosa
import numpy as np
from librosa.filters import mel
from librosa.onset import onset_strength

from genrestack_audio.features.columns import HOP, MFCCS, N_FFT, RATE
from genrestack_audio.features.spectrum import Spectrum
from genrestack_audio.features.tuning import chroma_filters, estimate_tuning

_ROLLOFF = 0.85
_QUIET = 1e-10


def chroma(spectrum: Spectrum) -> np.ndarray:
    """Share of each pitch class in its frame's strongest one: float32, shape (t, 12)."""
    folded = spectrum.power @ chroma_filters(estimate_tuning(spectrum.power))
    strongest = folded.max(axis=1, keepdims=True)
    strongest[strongest < np.finfo(strongest.dtype).tiny] = 1
    return np.asarray(folded / strongest)


def centroid_and_bandwidth(spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Mean frequency of each frame and the standard deviation around it, in Hz: float64, shape (t,) each."""
    total, first, second = (spectrum.magnitude.astype(np.float64) @ _powers_of_frequency()).T
    total = np.where(total < np.finfo(np.float32).tiny, 1, total)
    centroid = first / total
    return centroid, np.sqrt(np.maximum(second / total - centroid**2, 0))


def rolloff(spectrum: Spectrum) -> np.ndarray:
    """Frequency below which 85 % of a frame's magnitude lies, in Hz: float64, shape (t,)."""
    # Summed up in single precision on purpose: the bin where a sum crosses the threshold should be the tables' bin.
    sums = np.cumsum(spectrum.magnitude, axis=1)
    return np.asarray(_frequencies()[np.count_nonzero(sums < _ROLLOFF * sums[:, -1:], axis=1)])


def rms(samples: np.ndarray) -> np.ndarray:
    """Root of the mean square of each frame, the signal mirrored at its ends: float64, shape (t,)."""
    padded = np.pad(samples, N_FFT // 2, mode="reflect").astype(np.float64)
    return np.asarray(np.sqrt(_frame_sums(padded**2) / N_FFT))


def zero_crossing_rate(samples: np.ndarray) -> np.ndarray:
    """Count changes of sign in each frame, the first sample counting for none, per sample: float64, shape (t,)."""
    padded = np.pad(samples, N_FFT // 2, mode="edge")
    negative = padded < -_QUIET
    crossed = np.concatenate([[False], negative[1:] != negative[:-1]])
    inside = _frame_sums(crossed)
    return np.asarray((inside - crossed[: len(inside) * HOP : HOP]) / N_FFT)


def mel_decibels(spectrum: Spectrum) -> np.ndarray:
    """Power in 128 mel bands in dB, at most 80 below the loudest: float32, shape (t, 128)."""
    return np.asarray(librosa.power_to_db(spectrum.power @ _mel_filters()))


def mfcc(decibels: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients: float32, shape (t, 20)."""
    return np.asarray(librosa.feature.mfcc(S=decibels.T, n_mfcc=MFCCS)).T


def tempo(decibels: np.ndarray) -> float:
    """Estimate the tempo as the beat tracker does before it looks for beats, in beats a minute; 0 without any onset."""
    onsets = onset_strength(S=decibels.T, sr=RATE, aggregate=np.median)
    if not onsets.any():
        return 0.0
    return float(librosa.feature.tempo(onset_envelope=onsets, sr=RATE)[0])


def _frame_sums(padded: np.ndarray) -> np.ndarray:
    """Sum every frame, from sums over the pieces that frames have in common."""
    frames = 1 + (len(padded) - N_FFT) // HOP
    overlap = N_FFT // HOP
    pieces = padded[: (frames + overlap - 1) * HOP].reshape(-1, HOP).sum(axis=1)
    return np.asarray(sum(pieces[place : place + frames] for place in range(overlap)))


@cache
def _frequencies() -> np.ndarray:
    return np.asarray(librosa.fft_frequencies(sr=RATE, n_fft=N_FFT))


@cache
def _powers_of_frequency() -> np.ndarray:
    return np.stack([_frequencies() ** power for power in range(3)], axis=1)


@cache
def _mel_filters() -> np.ndarray:
    return np.ascontiguousarray(mel(sr=RATE, n_fft=N_FFT).T)
