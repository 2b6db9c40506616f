"""Folders and files that belong to this user alone: checked on what is open, so that nothing can be put in their place.

A pickle runs code when it is read. Anyone who can write a file that is unpickled here, or replace it by another, runs
code as this user; so owner and mode of the folder and of the file are asked of the open descriptors, and no link is
followed on the way to them.
"""

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from genrestack_training.errors import RunError

PRIVATE: Final = 0o077
"""Mode bits that a folder of this process's own does not have: nobody else may look into it."""
TRUSTED: Final = 0o022
"""Mode bits that a folder or file with a pickle to read does not have: nobody else may write to it."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe that nobody writes to would be waited for.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def private_folder(path: Path) -> Iterator[int]:
    """Open a folder that is this user's own, mode 0700; yields its descriptor.

    Raises:
        RunError: it is a link, belongs to somebody else, or others may look into it.
        OSError: there is none.

    """
    with _descriptor(path, _FOLDER | os.O_NOFOLLOW) as folder:
        if why := _not_ours(folder, PRIVATE, {os.geteuid()}):
            raise RunError(f"{path} {why}, so nothing in it is read; remove it, or choose another folder with --run")
        yield folder


@contextmanager
def trusted_folder(path: Path) -> Iterator[int]:
    """Open a folder whose pickles may be read: of this user or of root, and nobody else may write to it.

    Raises:
        RunError: it is not; the message says what to do.
        OSError: there is none.

    """
    with _descriptor(path, _FOLDER) as folder:
        _trust(path, folder)
        yield folder


@contextmanager
def trusted_file(folder: int, path: Path) -> Iterator[BinaryIO]:
    """Open a file of a `trusted_folder`, or of a `private_folder`, to be read.

    Args:
        folder: descriptor of the folder.
        path: of the file; its name counts, the rest is for messages.

    Raises:
        RunError: it is a link or no regular file, belongs to somebody else, or others may write to it.
        OSError: there is none.

    """
    with _descriptor(path, _FILE, folder) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RunError(f"{path} is not a regular file; put the run's own file there, or train again")
        _trust(path, descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            yield file


def _trust(path: Path, descriptor: int) -> None:
    if why := _not_ours(descriptor, TRUSTED, {os.geteuid(), 0}):
        raise RunError(
            f"{path} {why}, and reading it would run whatever code is in it; if you trust it, copy the run (cp -r), "
            "keep others from writing to the copy (chmod -R go-w), and name that"
        )


def _not_ours(descriptor: int, forbidden: int, owners: set[int]) -> str:
    """Return what is wrong with the owner or mode of an open file; "" if nothing is."""
    found = os.fstat(descriptor)
    if found.st_uid not in owners:
        return f"belongs to {_user(found.st_uid)} and not to {_user(os.geteuid())}"
    mode = stat.S_IMODE(found.st_mode)
    if mode & forbidden:
        others = "be written to" if forbidden == TRUSTED else "be looked into"
        return f"may {others} by other users (mode {mode:04o})"
    return ""


def _user(number: int) -> str:
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


@contextmanager
def _descriptor(path: Path, flags: int, folder: int | None = None) -> Iterator[int]:
    try:
        opened = os.open(path if folder is None else path.name, flags, dir_fd=folder)
    except OSError as exc:
        # Linux says ENOTDIR of a link where a folder is wanted.
        if exc.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
            what = "a link, or not a folder" if flags & os.O_DIRECTORY else "a link, or not a regular file"
            raise RunError(f"{path} is {what}, so it is not read; remove it, and run the command again") from exc
        raise
    try:
        yield opened
    finally:
        os.close(opened)
