"""Decoding through the ffmpeg command, for what libsndfile does not read."""

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np

from genrestack_audio.errors import AudioError

_BYTES = 4
_HEADER: Final = struct.Struct(">4sIIIII")
"""Sun's audio header: magic, offset of the data, its size, encoding, rate, channels. It needs no seeking."""
_FLOATS: Final = 6


@dataclass
class FfmpegSound:
    """A recording that ffmpeg decodes."""

    rate: int
    """Hz."""
    channels: int
    _pipe: IO[bytes]
    _process: "subprocess.Popen[bytes]"
    seconds: float | None = None
    """Unknown until it has been decoded."""
    damage: str | None = None
    """What was wrong with it, known once it has been read."""

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Yield float32 of shape (≤ frames, channels) until there is no more."""
        while content := self._pipe.read(frames * self.channels * _BYTES):
            whole = len(content) // (self.channels * _BYTES) * self.channels
            yield np.frombuffer(content, dtype=">f4", count=whole).astype(np.float32).reshape(-1, self.channels)
        if self._process.wait() != 0:
            self.damage = "damaged: ffmpeg stopped before its end; what is there is used"


def has_ffmpeg() -> bool:
    """Return whether the ffmpeg command is installed."""
    return shutil.which("ffmpeg") is not None


@contextmanager
def open_with_ffmpeg(path: Path) -> Iterator[FfmpegSound]:
    """Start decoding the first sound track of a file; ffmpeg ends with the block.

    Raises:
        AudioError: ffmpeg finds no sound in it.

    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(_command(path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        try:
            pipe = process.stdout
            if pipe is None:  # pragma: no cover - it was asked for
                raise AudioError("could not be decoded: ffmpeg has no output")
            yield _sound(pipe, process)
        finally:
            process.kill()
            process.communicate()


def _command(path: Path) -> list[str]:
    # "file:" keeps a name such as "http:x" or "-y" a name.
    return [
        *("ffmpeg", "-nostdin", "-v", "error", "-i", f"file:{path}"),
        *("-map", "0:a:0", "-vn", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"),
    ]


def _sound(pipe: IO[bytes], process: "subprocess.Popen[bytes]") -> FfmpegSound:
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise AudioError("is not audio that libsndfile or ffmpeg can read, or is damaged; convert it, or leave it out")
    magic, offset, _, encoding, rate, channels = _HEADER.unpack(header)
    if magic != b".snd" or encoding != _FLOATS or not channels:
        raise AudioError("could not be decoded: this ffmpeg answers in another form; convert the file to wav")
    pipe.read(offset - _HEADER.size)
    return FfmpegSound(rate, channels, pipe, process)
