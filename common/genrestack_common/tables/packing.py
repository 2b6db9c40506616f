"""What kind of table a file is by its name, and its bytes unpacked as a stream.

Nothing is unpacked that is not read: the reader limits how much that is. What unpacking itself needs is bounded here.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, Protocol, TypeVar, cast

from genrestack_common.tables.errors import TableFileError
from genrestack_common.text import listed, quoted

TEXT: Final = (".csv", ".tsv", ".txt")
PARQUET: Final = (".parquet", ".pq")
KINDS: Final = ".csv, .tsv or .txt (also packed: .gz, .bz2, .xz, .zip), or .parquet"
"""What can be read, for messages."""
_PACKED: Final = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}
_XZ_MEMORY: Final = 256 * 2**20
"""Bytes that a decoder may take; those of `xz -9` take a quarter of it."""
_DIRECTORY: Final = 2**20
"""Bytes of a zip's list of what is in it."""
_ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_PIECE: Final = 2**16
_T = TypeVar("_T")


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


def is_text_table(name: str) -> bool:
    """Return, by its name, whether a file is a table of text, packed or not."""
    bare, packing = _split(name)
    return bare.endswith(TEXT) or packing == ".zip"


def is_parquet(name: str) -> bool:
    """Return, by its name, whether a file is a Parquet table."""
    return name.lower().endswith(PARQUET)


def _split(name: str) -> tuple[str, str]:
    """Return the name in small letters without the ending of its packing, and that ending."""
    lower = name.lower()
    packing = next((ending for ending in _PACKED if lower.endswith(ending)), "")
    return lower.removesuffix(packing), packing


@contextmanager
def unpacked(name: str, file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a table's bytes from the beginning, unpacked if the file's name says that it is packed.

    Args:
        name: of the file.
        file: open; can seek, and stays open.

    Raises:
        TableFileError: it is not packed so, or holds another number of tables than one; also while it is read.

    """
    file.seek(0)
    packing = _split(name)[1]
    if not packing:
        yield file
        return
    with io.BufferedReader(_Unpacked(packing, file), _PIECE) as stream:
        yield cast(BinaryIO, stream)


class _Unpacked(io.RawIOBase):
    """The bytes of a packed file, or an error that says so."""

    def __init__(self, packing: str, file: BinaryIO) -> None:
        self._packing = packing
        self._source: _Reads = self._guarded(lambda: _OPENERS[packing](file))

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # typeshed names no type to override
        """Fill the buffer from the beginning; return how many bytes there were."""
        data = self._guarded(lambda: self._source.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ValueError, RuntimeError) as exc:
            if isinstance(exc, OSError) and exc.errno is not None:
                raise  # the disk's, not the packing's
            kind = _PACKED[self._packing]
            raise TableFileError(
                f"is not a whole {kind} file: it is cut off, damaged, or not packed at all; pack the table again, or "
                f"name it without {self._packing} if it is not packed"
            ) from exc


class _Xz:
    """An xz file of one or several streams, read with bounded memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = self._next()
        self._begun = False

    def read(self, size: int, /) -> bytes:
        """Return at least one byte and at most `size`; none at the end."""
        while True:
            data = b""
            if self._decoder.eof:
                rest = (self._decoder.unused_data + self._file.read(_PIECE)).lstrip(b"\0")
                if not rest:
                    return b""
                self._decoder = self._next()
                data = rest
            elif self._decoder.needs_input:
                data = self._file.read(_PIECE)
                if not data:
                    raise EOFError
            try:
                found = self._decoder.decompress(data, size)
            except lzma.LZMAError as exc:
                if "limit" in str(exc).lower():
                    raise TableFileError(
                        f"takes more than {_XZ_MEMORY // 2**20} MiB of memory to unpack; pack it again with xz -6"
                    ) from exc
                raise
            if found:
                return found

    @staticmethod
    def _next() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


def _open_zip(file: BinaryIO) -> _Reads:
    _check_directory(file)
    archive = zipfile.ZipFile(file)
    members = [member for member in archive.infolist() if _is_content(member.filename)]
    tables = [member for member in members if member.filename.lower().endswith(TEXT)]
    if len(tables) != 1:
        found = listed((quoted(member.filename) for member in tables or members), 5) or "nothing"
        what = f"holds {len(tables)} tables" if tables else "holds no table (.csv, .tsv or .txt)"
        raise TableFileError(f"{what}: {found}; pack one table, or unpack the one you mean")
    (table,) = tables
    if table.flag_bits & 1:
        raise TableFileError("is locked with a password; unpack it")
    if table.compress_type not in _ZIP_METHODS:
        raise TableFileError("is packed by a method that is not read (deflate and bzip2 are); unpack it")
    return archive.open(table)


def _check_directory(file: BinaryIO) -> None:
    """Refuse a zip whose list of files would take much memory by itself; one beyond 4 GB says its size elsewhere."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 22 - 2**16))
    tail = file.read()
    file.seek(0)
    end = tail.rfind(b"PK\5\6")
    if end >= 0 and int.from_bytes(tail[end + 12 : end + 16], "little") > _DIRECTORY:
        raise TableFileError("holds too many files, or more than 4 GB; pack one table, or unpack the one you mean")


def _is_content(name: str) -> bool:
    """Return whether a member is a file of the user's own, and none that a system has put beside it."""
    parts = name.replace("\\", "/").split("/")
    return bool(parts[-1]) and not parts[-1].startswith(".") and "__MACOSX" not in parts


_OPENERS: Final[dict[str, Callable[[BinaryIO], _Reads]]] = {
    ".gz": lambda file: cast(_Reads, gzip.GzipFile(fileobj=file)),
    ".bz2": lambda file: cast(_Reads, bz2.BZ2File(file)),
    ".xz": _Xz,
    ".zip": _open_zip,
}
