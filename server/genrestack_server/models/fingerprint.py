"""Versions' folders from outside: what has changed, what may still be being copied, what is gone."""

import hashlib
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from genrestack_bundle import BundleError, read_sums, still_missing

Fingerprint: TypeAlias = bytes
"""What stands in SHA256SUMS and, of every entry, name, size and the last change of content and attributes; hashed."""

PATIENCE: Final = 5
"""Polls in a row that must find a half-copied folder unchanged before it is rejected, and a served one missing before
it is unloaded: copies pause, and network file systems are away for moments."""

# More than any bundle has; it bounds the work for a folder full of something else.
_MAX_ENTRIES: Final = 10_000
_NOTHING: Final[Mapping[int, "Folder"]] = MappingProxyType({})


def fingerprint(folder: Path, sums: bytes | None) -> Fingerprint:
    """Compute the fingerprint of a folder; links to folders are followed, links in it are not.

    The content of SHA256SUMS alone tells whether something else is to be served. The rest tells whether what was no
    good has been fixed. No inode numbers: some network file systems make new ones up at every look.

    Args:
        folder: a version's.
        sums: what stands in its SHA256SUMS; None: it cannot be read.

    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(_signed(entry) for entry in islice(entries, _MAX_ENTRIES))
    except OSError as error:
        found = [("", error.errno or 0, *_moments(folder))]
    return hashlib.sha256(repr((sums, found)).encode("utf-8", "surrogateescape")).digest()


@dataclass(slots=True)
class Folder:
    """What is remembered of a version's folder."""

    loaded: bytes | None = None
    """What stood in the SHA256SUMS of what is served."""
    refused: Fingerprint | None = None
    """What it was when it was refused."""
    unchanged: int = 0
    """Looks since it last changed, while it lacks something."""
    absent: int = 0
    """Looks since it was there."""
    _seen: Fingerprint | None = None

    def still_copying(self, found: Fingerprint) -> bool:
        """Record a poll of an incomplete folder; return whether it may still be being copied."""
        self.unchanged = self.unchanged + 1 if self._seen == found else 1
        self._seen = found
        return self.unchanged < PATIENCE


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """What one look at a version's folder found."""

    version: int
    fingerprint: Fingerprint | None = None
    """What it is now; None: what is served."""
    refused: bool = False
    """Whether that is what was refused already."""
    lacking: str = ""
    """What it lacks to be whole, where it may still be being copied."""

    @property
    def needs_loading(self) -> bool:
        """Whether it is new or has changed, and lacks nothing."""
        return self.fingerprint is not None and not self.refused and not self.lacking


def poll_folders(
    model_dir: Path, versions: Iterable[int], known: Mapping[int, Folder], *, enough: int | None, tolerant: bool
) -> list[FolderStatus]:
    """Poll versions' folders, one after the other, until one calls for loading or enough are served.

    A folder that is served as it lies there costs the reading of one small file.

    Args:
        model_dir: the model's folder.
        versions: which; the first come first.
        known: what is remembered of them; not to be changed meanwhile.
        enough: number of served versions that ends the search; None: look at all.
        patient: whether a folder that lacks something may yet be being copied.

    """
    statuses: list[FolderStatus] = []
    served = 0
    for version in versions:
        folder = known.get(version) or Folder()
        statuses.append(_status(model_dir / str(version), version, folder, tolerant=tolerant))
        served += folder.loaded is not None
        if statuses[-1].needs_loading or (enough is not None and served >= enough):
            break
    return statuses


def _status(path: Path, version: int, folder: Folder, *, tolerant: bool) -> FolderStatus:
    if folder.absent:
        return FolderStatus(version)
    sums = _sums_if_readable(path)
    if sums is not None and sums == folder.loaded:
        return FolderStatus(version)
    found = fingerprint(path, sums)
    if found == folder.refused:
        return FolderStatus(version, found, refused=True)
    return FolderStatus(version, found, lacking=still_missing(path) if tolerant else "")


class Folders:
    """What is remembered of every version's folder."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, Folder]] = {}

    def of(self, name: str, version: int) -> Folder:
        """Return what is remembered of one; blank if nothing is."""
        return self._known.setdefault(name, {}).setdefault(version, Folder())

    def of_model(self, name: str) -> Mapping[int, Folder]:
        """Return what is remembered of a model's, by version."""
        return self._known.get(name, _NOTHING)

    def names(self) -> Sequence[str]:
        """Models of whose folders something is remembered."""
        return list(self._known)

    def clear_state(self, name: str, version: int) -> None:
        """Remember nothing of one any more."""
        folders = self._known.get(name, {})
        folders.pop(version, None)
        if not folders:
            self._known.pop(name, None)

    def temporarily_missing(self, name: str, served: Iterable[int], present: Container[int]) -> list[int]:
        """Record a poll; return the versions served whose folders are missing, but not for long enough to count.

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


def _sums_if_readable(folder: Path) -> bytes | None:
    try:
        return read_sums(folder)
    except BundleError:
        return None


def _signed(entry: "os.DirEntry[str]") -> tuple[str, int, int, int]:
    found = entry.stat(follow_symlinks=False)
    return entry.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _moments(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ctime_ns
