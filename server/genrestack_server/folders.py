"""Versions' folders from outside: what has changed, what may still be being copied, what is gone."""

import os
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Name, size, and the moments (ns) of the last change of content and of attributes, of every entry of a folder."""

PATIENCE: Final = 5
"""So many looks in a row must find a half-copied folder unchanged before it is refused, and a served one missing before
it is let go: copies pause, and network file systems blink."""

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


@dataclass(slots=True)
class Folder:
    """What is remembered of a version's folder."""

    loaded: Signature | None = None
    """Seal of what is served."""
    refused: Signature | None = None
    """What it was when it was refused."""
    unchanged: int = 0
    """Looks since it last changed, while it lacks something."""
    absent: int = 0
    """Looks since it was there."""
    _seen: Signature | None = None

    def waits(self, signature: Signature) -> bool:
        """Take note of a look at a folder that lacks something; tell whether it may yet be being copied."""
        self.unchanged = self.unchanged + 1 if self._seen == signature else 1
        self._seen = signature
        return self.unchanged < PATIENCE


class Folders:
    """What is remembered of every version's folder."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Folder] = {}

    def of(self, name: str, version: int) -> Folder:
        """Return what is remembered of one; blank if nothing is."""
        return self._known.setdefault((name, version), Folder())

    def forget(self, name: str, version: int) -> None:
        """Remember nothing of one any more."""
        self._known.pop((name, version), None)

    def blinked(self, name: str, served: Iterable[int], present: Container[int]) -> list[int]:
        """Take note of a look; return the versions served whose folders are missing, but not for long enough to count.

        Args:
            name: the model.
            served: its versions that are served.
            present: its versions whose folders were seen.

        """
        kept = []
        for version in served:
            folder = self.of(name, version)
            folder.absent = 0 if version in present else folder.absent + 1
            if 0 < folder.absent < PATIENCE:
                kept.append(version)
        return kept


def _signed(entry: "os.DirEntry[str]") -> tuple[str, int, int, int]:
    found = entry.stat(follow_symlinks=False)
    return entry.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _moments(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ctime_ns
