"""Features of recordings, whole or window by window: what this package is for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from genrestack_audio.decode.levels import Levels
from genrestack_audio.decode.mono import check_length, to_mono
from genrestack_audio.decode.sound import Sound, open_sound
from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import FEATURE_NAMES, RATE
from genrestack_audio.features.extract import features_of
from genrestack_audio.windows.windows import Windows, cut

_LONGEST_WHOLE = 600 * RATE

Compute = Callable[[np.ndarray], np.ndarray]
"""From a window to its features: `features_of`, or a `WindowFeatures`."""


class Readable(Protocol):
    """What windows are cut from: a `Sound`, or somebody who passes one on."""

    @property
    def damage(self) -> str | None:
        """What is wrong with the file, as far as it has been read."""

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the recording, once: float32, shape (m,), mono at 22,050 Hz."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One window of a recording."""

    index: int
    """From 0."""
    start: float
    """Seconds from the recording's beginning."""
    length: int
    """Samples at 22,050 Hz."""
    features: np.ndarray
    """float64, shape (f,); of what was asked for: without more, the 57 in the order of `FEATURE_NAMES`."""


def extract(samples: np.ndarray, rate: float) -> np.ndarray:
    """Compute the 57 features of a piece of sound as a whole.

    Memory grows with its length, to some 100 MB a minute: for a long one, use windows.

    Args:
        samples: floating within [−1, 1], int16 or int32; shape (n,) or (n, channels). Silence has features too: no
            pitch, no tempo, and the lowest mfcc1 there is.
        rate: samples a second, Hz.

    Returns:
        float64, shape (57,); in the order of `FEATURE_NAMES`.

    Raises:
        AudioError: fewer than 2,048 samples at 22,050 Hz, values that are not numbers, or an impossible rate or shape.

    """
    mono = _checked(samples, rate)
    check_length(mono)
    return features_of(mono)


def extract_windows(samples: np.ndarray, rate: float, windows: Windows | None = None) -> np.ndarray:
    """Compute the 57 features of each window of a piece of sound.

    Args:
        samples: as `extract` takes them.
        rate: samples a second, Hz.
        windows: length and distance; None: 3 seconds, one after the other.

    Returns:
        float64, shape (w, 57), w ≥ 1.

    Raises:
        AudioError: as `extract` does, and if the sound is shorter than one window.

    """
    windows = windows or Windows()
    mono = _checked(samples, rate)
    rows = [features_of(window) for window in cut([mono], windows)]
    if not rows:
        raise AudioError(_too_short(len(mono), windows))
    return np.stack(rows)


def stream_segments(
    sound: Readable, windows: Windows | None = None, compute: Compute = features_of
) -> Iterator[Segment]:
    """Compute window after window while the recording is being read.

    Raises:
        AudioError: at the end, if the recording was silent or shorter than one window; before it, if it is not sound.

    """
    windows = windows or Windows()
    counted = _CountedBlocks(sound.blocks())
    index = -1
    for index, window in enumerate(cut(counted, windows)):
        yield Segment(index, index * windows.step / RATE, len(window), compute(window))
    if index < 0:
        damage = "" if sound.damage is None else f" ({sound.damage})"
        raise AudioError(_too_short(counted.samples, windows) + damage)


def whole_segment(sound: Sound, compute: Compute = features_of) -> Segment:
    """Compute one row of features of a whole recording, as in the published 30-second table.

    Raises:
        AudioError: it is silent, too short, longer than ten minutes, or no sound.

    """
    blocks, samples = [], 0
    for block in sound.blocks():
        blocks.append(block)
        samples += len(block)
        if samples > _LONGEST_WHOLE:
            raise AudioError("is longer than 10 minutes, too long for features of the whole; use windows")
    mono = np.concatenate(blocks)
    check_length(mono)
    return Segment(0, 0.0, len(mono), compute(mono))


def read_segments(
    path: str | Path, windows: Windows | None = None, compute: Compute = features_of
) -> Iterator[Segment]:
    """Open a recording and compute window after window of it.

    Args:
        path: the recording.
        windows: length and distance; None: 3 seconds, one after the other.
        compute: what computes a window's features; for tags, `window_features("tags")`.

    Raises:
        AudioError: as `open_sound` and `stream_segments` do; the message names the file.

    """
    with open_sound(path) as sound:
        yield from stream_segments(sound, windows, compute)


class _CountedBlocks:
    """Blocks on their way, counted."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self.samples = 0
        self._blocks = blocks

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            yield block


def _checked(samples: np.ndarray, rate: float) -> np.ndarray:
    levels = Levels()
    mono = to_mono(samples, rate)
    levels.watch(mono)
    return mono


def _too_short(samples: int, windows: Windows) -> str:
    return (
        f"lasts {samples / RATE:.2f} s, less than one window of {windows.seconds:g} s; "
        "choose a shorter window, or leave the recording out"
    )


def named(features: np.ndarray) -> dict[str, float]:
    """Return 57 features by name: float64, shape (57,) → name → value."""
    return dict(zip(FEATURE_NAMES, features.tolist(), strict=True))
