"""Decoding through libsndfile: wav, flac, ogg, mp3 and their kin."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from genrestack_audio.decode.open_sizes import OverlaidFile, open_sizes

_UNKNOWN_SIZES = range(0x7FFF_0000, 0x1_0000_0000)
"""What writers to a pipe put for a size they cannot know."""
_SLACK = 0.1
"""Seconds by which a header may be wrong without being called so."""


@dataclass
class SndfileSound:
    """A recording that libsndfile decodes."""

    rate: int
    """Hz."""
    channels: int
    seconds: float | None
    """As its header says."""
    _file: soundfile.SoundFile
    damage: str | None = None
    """What was wrong with it, known once it has been read."""

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield float32 of shape (≤ frames, channels) until there is no more."""
        read = 0
        try:
            while len(block := self._file.read(frames, dtype="float32", always_2d=True)):
                read += len(block)
                yield block
        except soundfile.LibsndfileError:
            self.damage = f"damaged after {read / self.rate:.1f} s; what comes before is used"
            return
        if self.seconds is not None and read / self.rate < self.seconds - _SLACK:
            self.damage = f"ends after {read / self.rate:.1f} of {self.seconds:.1f} s; what is there is used"


@contextmanager
def open_with_sndfile(path: Path) -> Iterator[SndfileSound | None]:
    """Open a file; None if libsndfile does not know its kind.

    Raises:
        OSError: the file cannot be opened.

    """
    # By descriptor: a name then is bytes to the system, and no extension changes what is expected inside.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            file = _opened(descriptor)
        except soundfile.LibsndfileError:
            yield None
            return
        with file:
            seconds = file.frames / file.samplerate if file.samplerate and _counted(file) else None
            yield SndfileSound(file.samplerate, file.channels, seconds, file, _missing(path))
    finally:
        os.close(descriptor)


class _Unseekable(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is read from its beginning to its end, without the seek that soundfile makes after each read."""

    def seekable(self) -> bool:
        return False


def _opened(descriptor: int) -> soundfile.SoundFile:
    file = soundfile.SoundFile(descriptor, closefd=False)
    if _counted(file):
        return file
    # A flac without a sample count cannot be sought in: the seek to its end fails, and the last block with it.
    file.close()
    os.lseek(descriptor, 0, os.SEEK_SET)
    sizes = open_sizes(descriptor)
    return _Unseekable(OverlaidFile(descriptor, sizes) if sizes else descriptor, closefd=False)


def _counted(file: soundfile.SoundFile) -> bool:
    """Return whether the header says how many samples there are."""
    return bool(0 < file.frames < 2**62)


def _missing(path: Path) -> str | None:
    """Compare the size in the header of a wav or aiff with the file's, since libsndfile takes the lesser silently."""
    with path.open("rb") as file:
        head = file.read(8)
    order = {b"RIFF": "<I", b"FORM": ">I"}.get(head[:4])
    if order is None or len(head) < 8:
        return None
    (announced,) = struct.unpack(order, head[4:])
    missing = announced + 8 - path.stat().st_size
    if announced in _UNKNOWN_SIZES or missing <= 1:
        return None
    return f"cut short: {missing:,} bytes that its header announces are missing; what is there is used"
