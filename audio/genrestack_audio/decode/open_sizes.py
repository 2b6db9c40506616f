"""Headers that leave open how much sound follows, as writers to a pipe and recorders that stopped leave them.

libsndfile takes a size of 0 at its word. What stands in the header is overlaid with the size that there is.
"""

import io
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Final

_RIFF: Final = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
_CHUNK: Final = 8
_MOST_CHUNKS: Final = 1000
_LARGEST: Final = 0xFFFF_FFFF
_UNKNOWN: Final = {0, 0x7FFF_FFFF, _LARGEST}
"""What writers put for a size that they do not know."""
_SSND_HEAD: Final = 8
"""Offset and block size before the samples of an aiff."""


def open_sizes(descriptor: int) -> dict[int, bytes]:
    """Return what should stand in the header of a wav, aiff or au that says it holds no sound, though bytes follow.

    Returns:
        Position in the file → bytes; empty where the header is of another kind, or really nothing follows.

    """
    end = os.fstat(descriptor).st_size
    magic = os.pread(descriptor, 4, 0)
    if magic in _RIFF:
        return _wav(descriptor, end, _RIFF[magic])
    if magic == b"FORM" and os.pread(descriptor, 4, 8) in {b"AIFF", b"AIFC"}:
        return _aiff(descriptor, end)
    if magic == b".snd":
        return _au(descriptor, end)
    return {}


class OverlaidFile(io.RawIOBase):
    """A file with other bytes in some places, for reading."""

    def __init__(self, descriptor: int, overlay: Mapping[int, bytes]) -> None:
        self._descriptor = descriptor
        self._overlay = overlay
        self._size = os.fstat(descriptor).st_size
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another position."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill a buffer, and return how many bytes there were."""
        content = bytearray(os.pread(self._descriptor, len(buffer), self._at))
        for place, changed in self._overlay.items():
            for index, value in enumerate(changed, start=place - self._at):
                if 0 <= index < len(content):
                    content[index] = value
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _wav(descriptor: int, end: int, order: str) -> dict[int, bytes]:
    long_sizes = None
    for place, name, size in _chunks(descriptor, end, order):
        if name == b"ds64":
            long_sizes = place + _CHUNK + 8
        if name == b"data":
            begin = place + _CHUNK
            long_size = None if long_sizes is None else os.pread(descriptor, 8, long_sizes)
            says_none = size == 0 if long_size is None else not any(long_size) and size in _UNKNOWN
            # A data chunk that is empty indeed is followed by chunks up to the end, or by nothing.
            if not says_none or begin >= end or _is_chain(descriptor, begin, end, order):
                return {}
            if long_sizes is not None:
                return {long_sizes: struct.pack("<Q", end - begin), place + 4: struct.pack("<I", _LARGEST)}
            # What 32 bits cannot say is said by the value that libsndfile takes for unknown.
            return {place + 4: struct.pack(f"{order}I", min(end - begin, _LARGEST))}
    return {}


def _aiff(descriptor: int, end: int) -> dict[int, bytes]:
    found = {name: (place, size) for place, name, size in _chunks(descriptor, end, ">", last=b"SSND")}
    if not {b"SSND", b"COMM"} <= set(found):
        return {}
    place, size = found[b"SSND"]
    begin = place + _CHUNK + _SSND_HEAD
    if size > _SSND_HEAD or begin >= end or _is_chain(descriptor, place + _CHUNK + size, end, ">"):
        return {}
    return {place + 4: struct.pack(">I", min(end - begin + _SSND_HEAD, _LARGEST))}


def _au(descriptor: int, end: int) -> dict[int, bytes]:
    head = os.pread(descriptor, 12, 0)
    if len(head) < 12:
        return {}
    _, begin, size = struct.unpack(">4sII", head)
    return {8: struct.pack(">I", _LARGEST)} if size in _UNKNOWN and begin < end else {}


def _chunks(descriptor: int, end: int, order: str, *, last: bytes = b"data") -> Iterator[tuple[int, bytes, int]]:
    """Yield position, name and size of each chunk behind the file's own header, up to the `last`."""
    place = 12
    for _ in range(_MOST_CHUNKS):
        head = os.pread(descriptor, _CHUNK, place)
        if len(head) < _CHUNK or place >= end:
            return
        name, size = struct.unpack(f"{order}4sI", head)
        yield place, name, size
        if name == last:
            return
        place += _CHUNK + size + size % 2


def _is_chain(descriptor: int, place: int, end: int, order: str) -> bool:
    """Return whether chunks with names of plain letters fill the file from here to its end."""
    for _ in range(_MOST_CHUNKS):
        head = os.pread(descriptor, _CHUNK, place)
        if len(head) < _CHUNK:
            return False
        name, size = struct.unpack(f"{order}4sI", head)
        if not all(0x20 <= letter < 0x7F for letter in name) or not name.strip():
            return False
        place += _CHUNK + size + size % 2
        if end <= place <= end + 1:
            return True
        if place > end:
            return False
    return False
