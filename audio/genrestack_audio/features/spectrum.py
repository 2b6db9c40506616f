"""The spectrogram that all features share, and the way back from it."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft, signal

from genrestack_audio.features.columns import HOP, N_FFT

_OVERLAP = N_FFT // HOP


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Short-time spectrum of one piece of sound; frames come first, so that each lies in one piece of memory."""

    samples: np.ndarray
    """float32, shape (n,)."""
    values: np.ndarray
    """complex64, shape (t, 1025): frame, frequency."""
    magnitude: np.ndarray
    """float32, shape (t, 1025)."""
    power: np.ndarray
    """float32, shape (t, 1025): the magnitude squared."""


def spectrum(samples: np.ndarray) -> Spectrum:
    """Transform `samples`, float32 of shape (n,), mirrored at both ends; n > 1024."""
    frames = framed(np.pad(samples, N_FFT // 2, mode="reflect"))
    values = fft.rfft(frames * _window(), axis=1).astype(np.complex64)
    magnitude = np.abs(values)
    return Spectrum(samples, values, magnitude, magnitude**2)


def inverse(values: np.ndarray) -> np.ndarray:
    """Overlap and add the frames of a spectrum.

    The signal ends with its last whole frame: ⌊n / 512⌋ · 512 samples of the n that the spectrum was made of.

    Args:
        values: complex64, shape (t, 1025).

    Returns:
        float32, shape (512 · (t − 1),).

    """
    window = _window().astype(np.float32)
    frames = fft.irfft(values, n=N_FFT, axis=1) * window
    weights = np.broadcast_to(window**2, frames.shape)
    middle = slice(N_FFT // 2, -(N_FFT // 2))
    return np.asarray(_added(frames)[middle] / _added(weights)[middle], dtype=np.float32)


def framed(padded: np.ndarray) -> np.ndarray:
    """View a signal, padded by half a frame at both ends, as overlapping frames, shape (t, 2048)."""
    return np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]


def _added(frames: np.ndarray) -> np.ndarray:
    parts = frames.reshape(len(frames), _OVERLAP, HOP)
    total = np.zeros((len(frames) + _OVERLAP - 1, HOP), dtype=frames.dtype)
    for place in range(_OVERLAP):
        total[place : place + len(frames)] += parts[:, place]
    return total.reshape(-1)


@cache
def _window() -> np.ndarray:
    return np.asarray(signal.get_window("hann", N_FFT, fftbins=True))
