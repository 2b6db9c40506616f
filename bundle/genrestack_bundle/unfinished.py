"""The folder a bundle is written in until it is whole: locked by its writer, removed by the next if that is gone."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from genrestack_bundle.layout import SUMS
from genrestack_common.folders import lock_alone

PREFIX: Final = ".writing-"
"""No model and no version is called so, and no server looks into it."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A folder that is being filled."""

    path: Path
    _sums: int

    def seal(self, sums: bytes) -> None:
        """Write SHA256SUMS, which comes last, and flush it.

        Raises:
            OSError: it cannot be written.

        """
        # Through the descriptor that is locked: over NFS the lock ends as soon as another one of the file is closed.
        os.truncate(self._sums, 0)
        os.pwrite(self._sums, sums, 0)
        os.fsync(self._sums)


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Unfinished]:
    """Create a folder to be filled and renamed; remove it at the end if it was not.

    Its locks end with this process, however that ends. Folders in `parent` whose writers are gone are removed first.

    Raises:
        OSError: `parent` cannot be written.

    """
    _remove_abandoned(parent)
    with ExitStack() as held:
        yield _locked_folder(parent, held)


def _locked_folder(parent: Path, held: ExitStack) -> Unfinished:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        # Another writer may find it before it is locked, and remove it: then there has to be another.
        with suppress(FileNotFoundError, BlockingIOError):
            return Unfinished(folder, _lock(folder, held, new=True))


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        # Only those whose locks can be had, for that is how a writer that is gone shows.
        with suppress(OSError), ExitStack() as held:
            with suppress(FileNotFoundError):
                _lock(folder, held, new=False)
            shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path, held: ExitStack, *, new: bool) -> int:
    """Lock a folder and its SHA256SUMS, without waiting; return the latter's descriptor.

    Both, for over NFS the lock of a folder is known on one machine only, and that of a file on all.

    Raises:
        BlockingIOError: somebody else has one of the two, or they cannot be locked and are not new.
        FileNotFoundError: the folder is gone, or SHA256SUMS is not there and the folder is not new.
        OSError: it cannot be opened.

    """
    within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    held.callback(os.close, within)
    _lock_exclusively(within, new=new)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    sums = os.open(SUMS, flags | os.O_CREAT if new else flags, 0o666, dir_fd=within)
    held.callback(os.close, sums)
    _lock_exclusively(sums, new=new)
    return sums


def _lock_exclusively(descriptor: int, *, new: bool) -> None:
    locked = lock_alone(descriptor)
    # Where the file system has no locks, nobody removes what another writes.
    if locked is False or (locked is None and not new):
        raise BlockingIOError
