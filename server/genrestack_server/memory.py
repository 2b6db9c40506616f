"""Memory that a version or a large request had: given back to the system when it is gone."""

import asyncio
import ctypes
import functools
import sys
from contextlib import suppress
from typing import Final

# From malloc.h. Blocks of this size or more come from the system and go back to it when they are freed. By itself glibc
# raises the bound to 32 MiB once it has seen such blocks, and then keeps tens of MiB of weights that nobody has.
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 2 * 2**20
# So long without a large request, and trimming is in nobody's way.
_QUIET_S: Final = 1.0


def keep_little() -> None:
    """Ask the C library, where it is glibc, to return large blocks as soon as they are freed."""
    if library := _glibc():
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Return what was freed in small blocks, where the C library is glibc."""
    if library := _glibc():
        library.malloc_trim(0)


class Trimmer:
    """Gives memory back once large requests have ended. Belongs to one event loop.

    gRPC keeps and unpacks a message in blocks of a few KiB, which stay with the process when they are freed.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Give back what is free in a moment; later, if this is said again before."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _QUIET_S
        if self._timer is None:
            self._timer = loop.call_at(self._due, self._trim_or_wait)

    def _trim_or_wait(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        if loop.time() < self._due:
            self._timer = loop.call_at(self._due, self._trim_or_wait)
        else:
            with suppress(RuntimeError):  # the loop is ending, and the process with it
                loop.run_in_executor(None, give_back)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "malloc_trim") else None
