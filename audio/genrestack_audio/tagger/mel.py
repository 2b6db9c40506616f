"""From sound to the patches that the tagger hears."""

from functools import cache

import numpy as np
import soxr
from scipy import fft, signal

from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import RATE as SOUND_RATE
from genrestack_audio.tagger.recipe import FRAMES, HOP, MELS, N_FFT, RATE, SHORTEST


def patches(samples: np.ndarray) -> np.ndarray:
    """Cut a piece of sound into patches, one after the other; what does not fill one at the end is left out.

    Args:
        samples: float32, shape (n,), finite; mono at 22,050 Hz.

    Returns:
        float32, shape (p, 187, 96), p ≥ 1: the logarithm of frames' mel bands.

    Raises:
        AudioError: the sound is shorter than one patch.

    """
    resampled = np.asarray(soxr.resample(samples, SOUND_RATE, RATE, quality="HQ"))
    if len(resampled) < SHORTEST * RATE:
        raise AudioError(
            f"lasts {len(samples) / SOUND_RATE:.2f} s; the tagger hears {SHORTEST:.2f} s at once; choose "
            "windows of 3 s or more"
        )
    bands = log_mel(resampled)
    whole = len(bands) // FRAMES
    return bands[: whole * FRAMES].reshape(whole, FRAMES, MELS)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Compute log10(1 + 10,000 · mel power) of frames: samples at 16,000 Hz, shape (n,), n > 256 → float32, (t, 96)."""
    padded = np.pad(samples, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = np.abs(fft.rfft(frames * _window(), axis=1)) ** 2
    return np.asarray(np.log10(1 + 10_000 * (power @ _filters())), dtype=np.float32)


@cache
def _window() -> np.ndarray:
    return np.asarray(signal.get_window("hann", N_FFT, fftbins=True), dtype=np.float32)


@cache
def _filters() -> np.ndarray:
    """Return the weight of each frequency in each mel band, float32, shape (257, 96)."""
    from librosa.filters import mel

    return np.asarray(mel(sr=RATE, n_fft=N_FFT, n_mels=MELS).T, dtype=np.float32)
