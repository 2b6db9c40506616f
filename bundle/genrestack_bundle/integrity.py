"""Reading files that nobody vouches for: inside their folder, with the size and the sha256 that were announced."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

from genrestack_bundle.errors import BundleError
from genrestack_bundle.layout import is_safe_name

# A link is not followed, and a pipe without a writer not waited for.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Opening a link, a folder, a socket, a device that is not there.
_NO_PLAIN_FILE: Final = {errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}


def sha256(data: bytes) -> str:
    """Hash bytes, as lowercase hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def read_bounded(folder: Path, name: str, limit: int) -> bytes:
    """Read a file of a bundle.

    Raises:
        BundleError: the name leaves the folder, the file is missing, a link, a device, unreadable, or larger than
            `limit` bytes.

    """
    with _opened(folder, name) as (file, size):
        if size > limit:
            raise BundleError(f"{name} is larger than {limit} bytes; export the model again")
        # A read of n bytes sets n bytes of memory aside, so ask for what is there and not for what may be.
        data = file.read(size + 1)
    if len(data) > limit:
        raise BundleError(f"{name} is larger than {limit} bytes; export the model again")
    return data


def read_verified(folder: Path, name: str, *, size: int, digest: str, limit: int) -> bytes:
    """Read a file that has to be exactly as announced.

    Raises:
        BundleError: as `read_bounded`, or the size or the sha256 differs.

    """
    _check_announced(name, size, limit)
    with _opened(folder, name) as (file, found):
        data = file.read(size + 1) if found == size else b""
    if len(data) != size or sha256(data) != digest:
        raise _altered(name)
    return data


def verify(folder: Path, name: str, *, size: int, digest: str, limit: int) -> None:
    """Check a file whose content is not needed, without keeping it in memory.

    Raises:
        BundleError: as `read_verified`.

    """
    _check_announced(name, size, limit)
    with _opened(folder, name) as (file, found):
        if found != size or hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise _altered(name)


def _check_announced(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise BundleError(f"{name[:100]} is announced with {size} bytes, more than the {limit} a bundle may hold")


def _altered(name: str) -> BundleError:
    return BundleError(f"{name} was altered after the export (its sha256 differs); export the model again")


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[tuple[BufferedReader, int]]:
    """Open a plain file that lies in this very folder, and say how large it is; opening never waits."""
    if not is_safe_name(name):
        raise BundleError(f"{name[:100]!r} is not a file name a bundle may hold; export the model again")
    try:
        # What it is is asked of the open file, so that nobody can put another in its place in between.
        with os.fdopen(os.open(folder / name, _FLAGS), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{name} is not a plain file; export the model again")
            yield file, found.st_size
    except FileNotFoundError as error:
        raise BundleError(
            f"{name} is missing from {folder.parent.name}/{folder.name}; export the model again"
        ) from error
    except OSError as error:
        if error.errno in _NO_PLAIN_FILE:
            raise BundleError(f"{name} is a link or no plain file; a bundle holds plain files only") from error
        raise BundleError(f"{name} cannot be read ({error.strerror}); check its permissions") from error
