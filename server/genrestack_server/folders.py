"""A version's folder from outside: whether it has changed, and whether it is still being copied."""

import os
from pathlib import Path
from typing import Final, TypeAlias

from genrestack_bundle import still_missing

Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Name, size, and the moments (ns) of the last change of content and of attributes, of every entry of a folder."""

_SEAL: Final = frozenset({"manifest.json", "SHA256SUMS"})
# Nobody's bundle; it only bounds the work that a folder full of something else makes.
_MAX_ENTRIES: Final = 10_000


def sign(folder: Path) -> Signature:
    """Take the signature of a folder, without reading any file; links to folders are followed, links in it are not.

    No inode numbers: some network file systems make new ones up at every look.
    """
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(_signed(entry) for entry, _ in zip(entries, range(_MAX_ENTRIES), strict=False)))
    except OSError as error:
        return (("", error.errno or 0, *_moments(folder)),)


def seal(signature: Signature) -> Signature:
    """Return what of a signature has to change before the content can have: the manifest names every file's sha256.

    Attributes are left out, so that a backup or a `chmod` loads nothing again.
    """
    return tuple((name, size, changed, 0) for name, size, changed, _ in signature if name in _SEAL)


def awaited(folder: Path) -> str:
    """Name what a folder that is being copied still lacks; "" if nothing."""
    return still_missing(folder)


def _signed(entry: "os.DirEntry[str]") -> tuple[str, int, int, int]:
    found = entry.stat(follow_symlinks=False)
    return entry.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _moments(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ctime_ns
