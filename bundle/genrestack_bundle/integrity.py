"""Reading files that nobody vouches for: inside their folder, with the size and the sha256 that were announced."""

import hashlib
import os
from pathlib import Path

from genrestack_bundle.errors import BundleError
from genrestack_bundle.layout import is_safe_name


def sha256(data: bytes) -> str:
    """Hash bytes, as lowercase hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def read_bounded(folder: Path, name: str, limit: int) -> bytes:
    """Read a file of a bundle.

    Raises:
        BundleError: the name leaves the folder, the file is missing, a link, unreadable, or larger than `limit` bytes.

    """
    if not is_safe_name(name):
        raise BundleError(f"{name!r} is not a file name a bundle may hold; export the model again")
    path = folder / name
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{name} is missing from {folder.parent.name}/{folder.name}; export the model again")
        with path.open("rb") as file:
            # A read of n bytes sets n bytes of memory aside, so ask for what is there and not for what may be.
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, limit) + 1)
    except OSError as error:
        raise BundleError(f"{name} cannot be read ({error.strerror}); check its permissions") from error
    if len(data) > limit:
        raise BundleError(f"{name} is larger than {limit} bytes; export the model again")
    return data


def read_verified(folder: Path, name: str, *, size: int, digest: str, limit: int) -> bytes:
    """Read a file that has to be exactly as announced.

    Raises:
        BundleError: as `read_bounded`, or the size or the sha256 differs.

    """
    if size > limit:
        raise BundleError(f"{name} is announced with {size} bytes, more than the {limit} a bundle may hold")
    data = read_bounded(folder, name, size)
    if len(data) != size or sha256(data) != digest:
        raise BundleError(f"{name} was altered after the export (its sha256 differs); export the model again")
    return data
