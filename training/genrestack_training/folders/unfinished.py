"""The folder of a run that is not finished: its finished fits, and the run itself while it is written.

It lies beside the run's folder, is this user's own (0700), and bears the run's name and no time, so that the same
command finds it again after an interruption. Trainings that use it at once share a lock on it; one that is alone
removes what a killed one has left half written, and at the end the folder itself.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from genrestack_common.folders import flush, lock_alone
from genrestack_training.errors import RunError
from genrestack_training.folders.private import TRUSTED, private_folder

PARTIAL: Final = ".half-"
"""How the name of a file or folder begins that is being written."""


def unfinished_path(parent: Path, name: str) -> Path:
    """Return the path of a run's unfinished folder."""
    return parent / f".{name}.unfinished"


@contextmanager
def unfinished(path: Path) -> Iterator[None]:
    """Create the folder, or use the existing one; when the block ends it is removed if it is empty.

    Raises:
        RunError: it cannot be made, or is not this user's own.

    """
    with ExitStack() as held:
        _join(path, held)
        try:
            yield
        finally:
            held.close()
            with suppress(OSError, RunError), private_folder(path) as folder:
                if lock_alone(folder) is not False:
                    path.rmdir()


def _join(path: Path, held: ExitStack) -> None:
    """Create or open the folder, and hold a shared lock on it."""
    while True:
        with _named(path):
            make_private(path)
            folder = held.enter_context(private_folder(path))
            if lock_alone(folder):
                _remove_partial(path)
            with suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_SH)
            # Another training may have ended, and removed the folder just before it was locked.
            if _still_there(path, folder):
                return
        held.close()


def make_private(path: Path) -> None:
    """Create a folder of mode 0700 where there is none yet.

    Raises:
        OSError: it cannot be made.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Create a folder to write in, inside an unfinished one; what is left of it at the end is removed."""
    folder = path / f"{PARTIAL}{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(written: Path, folder: Path) -> None:
    """Rename what was written to `folder`, flushed to the disk, and closed to other writers.

    Raises:
        OSError: it cannot be flushed or renamed.

    """
    for path in (*written.iterdir(), written):
        # Whatever the umask: pickles that others may write to are not read again.
        path.chmod(path.stat().st_mode & 0o7777 & ~TRUSTED)
        flush(path)
    written.rename(folder)
    flush(folder.parent)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise RunError(f"cannot write {path}: {exc.strerror}; choose another folder with --run") from exc


def _still_there(path: Path, folder: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(folder))
    except FileNotFoundError:
        return False


def _remove_partial(path: Path) -> None:
    for left in path.glob(f"{PARTIAL}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
