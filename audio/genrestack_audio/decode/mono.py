"""Any rate and channel count → mono at 22,050 Hz, at once or block by block."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import N_FFT, RATE

_QUALITY = "HQ"
_SLOWEST, _FASTEST = 1_000, 1_000_000


def to_mono(samples: np.ndarray, rate: float) -> np.ndarray:
    """Mix and resample a whole recording.

    Args:
        samples: floating within [−1, 1], or whole numbers of 16 or 32 bits, which are scaled; shape (n,) or
            (n, channels); finite.
        rate: samples a second, Hz.

    Returns:
        float32, shape (m,) with m ≈ n · 22,050 / rate.

    Raises:
        AudioError: the samples or the rate are not of that kind.

    """
    check_rate(rate)
    mixed = mix(_floating(np.asarray(samples)))
    return mixed if rate == RATE else np.asarray(soxr.resample(mixed, rate, RATE, quality=_QUALITY))


def resampled(blocks: Iterable[np.ndarray], rate: float) -> Iterator[np.ndarray]:
    """Resample a mono recording as it comes in; blocks of float32, shape (m,)."""
    if rate == RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality=_QUALITY)
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)


def mix(samples: np.ndarray) -> np.ndarray:
    """Average the channels of float32 samples, shape (n,) or (n, channels)."""
    return np.ascontiguousarray(samples if samples.ndim == 1 else samples.mean(axis=1))


def check_rate(rate: float) -> None:
    """Reject a sample rate that no recording has.

    Raises:
        AudioError: it is not within 1,000 and 1,000,000 Hz.

    """
    if not _SLOWEST <= rate <= _FASTEST:
        raise AudioError(f"has a sample rate of {rate:g} Hz; a recording has {_SLOWEST:,} to {_FASTEST:,} Hz")


def check_length(samples: np.ndarray) -> None:
    """Reject what does not fill one frame of the spectrogram.

    Raises:
        AudioError: there are fewer than 2,048 samples.

    """
    if len(samples) < N_FFT:
        raise AudioError(f"has {len(samples):,} samples at {RATE:,} Hz; features need at least {N_FFT:,}")


def _floating(samples: np.ndarray) -> np.ndarray:
    if samples.ndim not in {1, 2} or (samples.ndim == 2 and samples.shape[1] > max(samples.shape[0], 1)):
        raise AudioError(f"has samples of shape {samples.shape}; give (samples,) or (samples, channels)")
    if samples.ndim == 2 and not samples.shape[1]:
        raise AudioError("has no channel; give (samples,) or (samples, channels)")
    if samples.dtype in (np.int16, np.int32):
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"has samples of type {samples.dtype}; give floats within −1 and 1, int16 or int32")
    return samples.astype(np.float32, copy=False)
