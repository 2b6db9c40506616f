"""A recording on disk, read as mono blocks at 22,050 Hz: never more than a block of it in memory."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from genrestack_audio.decode.ffmpeg import has_ffmpeg, open_with_ffmpeg
from genrestack_audio.decode.levels import Levels
from genrestack_audio.decode.mono import check_rate, mix, resampled
from genrestack_audio.decode.sndfile import open_with_sndfile
from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import RATE

_BLOCK = 1 << 16
"""Samples, over all channels, decoded at once."""


class Decoder(Protocol):
    """What reads one kind of file."""

    rate: int
    channels: int
    seconds: float | None
    damage: str | None

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield float32 of shape (≤ frames, channels)."""


class Sound:
    """An open recording; made by `open_sound`."""

    def __init__(self, decoder: Decoder) -> None:
        check_rate(decoder.rate)
        self.rate = decoder.rate
        """Hz, as recorded."""
        self.channels = decoder.channels
        self.seconds = decoder.seconds
        """As the header says; None if it does not."""
        self._decoder = decoder
        self._levels = Levels()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the recording, once: float32, shape (m,), mono at 22,050 Hz.

        Raises:
            AudioError: a sample is not a number; or, at the end, all of it was silent, its channels cancelled each
                other out, or there was nothing.

        """
        yield from resampled(self._mixed(), self.rate)
        self._levels.check()

    @property
    def damage(self) -> str | None:
        """What is wrong with the file, as far as it has been read."""
        return self._decoder.damage

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the recording, one line each; complete once it has been read."""
        slow = f"recorded at {self.rate:,} Hz: it holds no treble, and its features differ from full recordings'"
        damage = [] if self.damage is None else [self.damage]
        return (*damage, *([slow] if self.rate < RATE else []), *self._levels.notes)

    def _mixed(self) -> Iterator[np.ndarray]:
        for block in self._decoder.blocks(max(1, _BLOCK // self.channels)):
            self._levels.watch(block)
            mixed = mix(block)
            self._levels.watch_mix(block, mixed)
            yield mixed


@contextmanager
def open_sound(path: str | Path) -> Iterator[Sound]:
    """Open a recording: through libsndfile what that knows, anything else through ffmpeg where it is installed.

    Raises:
        AudioError: there is no such file, or it is not audio; the message names the file, as do those of errors raised
            while it is being read.

    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            yield Sound(_opened(path, stack))
        except AudioError as error:
            raise AudioError(f"{path}: {error}") from error


def _opened(path: Path, stack: ExitStack) -> Decoder:
    try:
        return _decoder(path, stack)
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror}; check its permissions") from error


def _decoder(path: Path, stack: ExitStack) -> Decoder:
    _check(path)
    known = stack.enter_context(open_with_sndfile(path))
    if known is not None:
        return known
    if not has_ffmpeg():
        raise AudioError(
            "is damaged, not audio, or audio other than wav, flac, ogg and mp3, which needs ffmpeg: install ffmpeg, "
            "or convert the file"
        )
    return stack.enter_context(open_with_ffmpeg(path))


def _check(path: Path) -> None:
    if not path.exists():
        raise AudioError("there is no such file; check the path")
    if path.is_dir():
        raise AudioError("is a folder; name the recordings in it, or build a table with genrestack features")
    if not path.is_file():
        raise AudioError("is not a regular file; save the recording to one first")
    if not path.stat().st_size:
        raise AudioError("is empty (0 bytes); copy or download it again")
