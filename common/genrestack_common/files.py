"""Files that a person names: read where they are regular ones of a size that can be, and written whole."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

_KINDS: Final = (
    (stat.S_ISDIR, "a folder; name a file in it"),
    (stat.S_ISFIFO, "a pipe; write what comes out of it to a file, and name that"),
    (stat.S_ISCHR, "a device; name a file"),
    (stat.S_ISBLK, "a device; name a file"),
    (stat.S_ISSOCK, "a socket; name a file"),
)


class UnreadableFileError(Exception):
    """A file that cannot be read, and what to do about it, in one line."""


@contextmanager
def regular_file(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file to be read; pipes, devices and the like are neither waited for nor read.

    Raises:
        UnreadableFileError: there is none, or it is something else.

    """
    try:
        # Asked first, since opening a device may set it going.
        _check_kind(path, path.stat())
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnreadableFileError(f"there is no file {path}; check the path") from None
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "no file has such a name"
        raise UnreadableFileError(f"cannot read {path}: {why}; check the path and its permissions") from exc
    with os.fdopen(descriptor, "rb") as file:
        _check_kind(path, os.fstat(descriptor))
        yield file


def read_text(path: Path, most: int) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        UnreadableFileError: it cannot be read, or is larger.
        UnicodeDecodeError: it is not UTF-8.

    """
    return read_bytes(path, most).decode("utf-8-sig")


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        UnreadableFileError: it cannot be read, or is larger.

    """
    with regular_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UnreadableFileError(f"{path} is larger than {most // 1024:,} KiB, the most that is read; shorten it")
    return content


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that anybody may read, in the place of one of that name; it appears whole, or not at all.

    Raises:
        OSError: it cannot be written; nothing is left behind.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(unfinished).unlink()
        raise


def _check_kind(path: Path, facts: os.stat_result) -> None:
    for is_kind, what in _KINDS:
        if is_kind(facts.st_mode):
            raise UnreadableFileError(f"{path} is {what}")
