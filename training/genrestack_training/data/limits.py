"""How much a table holds and how much memory it may take, asked before it is read."""

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from genrestack_common.resources import free_memory
from genrestack_training.errors import TableError

LONGEST_LINE: Final = 16 * 2**20
"""Bytes."""
_PIECE: Final = 2**20
_CHECKED_EVERY: Final = 64 * _PIECE
VALUE_BYTES: Final = 64
"""Of each value of a table: 8 in the matrix, and in each copy that reading, splitting, scaling and fitting make."""
TEXT_BYTES: Final = 3
"""Of each byte of a table's text: what a parser may hold at once."""


@dataclass
class _Extent:
    """What has been seen so far."""

    path: Path
    columns: int
    separator: bytes
    size: int = 0
    lines: int = 0
    separators: int = 0
    unended: int = 0
    """Bytes since the last end of a line."""
    blank: bool = True
    _decoder: codecs.IncrementalDecoder = field(default_factory=codecs.getincrementaldecoder("utf-8"))

    def add(self, piece: bytes) -> None:
        """Count a piece; the last one is empty."""
        self._check_text(piece)
        self.size += len(piece)
        self.lines += piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
        self.separators += piece.count(self.separator)
        self.blank = self.blank and not piece.strip()
        self._check_line(piece)

    def check_fits(self) -> None:
        """Reject a table that cannot be held; a row that is shorter than the header is filled up when it is read."""
        values = max(self.separators + self.lines, self.lines * self.columns)
        shape = f"{self.lines:,} lines of {self.columns:,} columns"
        if values > self.lines * self.columns:
            shape = f"{self.separators + self.lines:,} values"
        check_fits(
            f"{self.path} has at least {shape} and {self.size:,} bytes of text",
            VALUE_BYTES * values + TEXT_BYTES * self.size,
            "leave rows or columns out, or use a machine with more",
        )

    def _check_text(self, piece: bytes) -> None:
        waiting = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as exc:
            byte = self.size - waiting + exc.start + 1
            raise TableError(f"{self.path} is not text in UTF-8 (byte {byte}); save the table as CSV in UTF-8") from exc
        if b"\0" in piece:
            raise TableError(f"{self.path} is not a text table: it holds zero bytes; save the table as CSV in UTF-8")

    def _check_line(self, piece: bytes) -> None:
        ends = [found for found in (piece.find(b"\n"), piece.find(b"\r")) if found >= 0]
        if self.unended + (min(ends) if ends else len(piece)) > LONGEST_LINE:
            raise TableError(
                f"{self.path}: a line is longer than {LONGEST_LINE // 2**20} MiB, after {self.lines:,} line ends; a "
                "line holds one row: check its line ends"
            )
        last = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        self.unended = self.unended + len(piece) if last < 0 else len(piece) - last - 1


def check_extent(path: Path, text: BinaryIO, columns: int, separator: str) -> None:
    """Read a text table once and keep none of it.

    Args:
        path: names it in messages.
        text: its bytes, unpacked, from the beginning.
        columns: in its header.
        separator: between its values.

    Raises:
        TableError: it is empty, not text, has an endless line, or does not fit into the memory there is.

    """
    extent = _Extent(path, columns, separator.encode())
    checked = 0
    while piece := text.read(_PIECE):
        extent.add(piece)
        if extent.size - checked >= _CHECKED_EVERY:
            checked = extent.size
            extent.check_fits()
    extent.add(b"")
    if extent.blank:
        raise TableError(f"{path} is empty; a table has a header line and rows below it")
    extent.check_fits()


def check_fits(what: str, size: int, remedy: str) -> None:
    """Reject what cannot be held.

    Args:
        what: names it, with its numbers.
        size: bytes that it takes.
        remedy: what to do, for a person.

    Raises:
        TableError: the memory is not there.

    """
    free = free_memory()
    if size > free:
        raise TableError(f"{what}, which takes about {_shown(size)} of memory, and {_shown(free)} are free; {remedy}")


def _shown(size: int) -> str:
    for unit, factor in (("TB", 10**12), ("GB", 10**9)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 10**6:,.0f} MB"
