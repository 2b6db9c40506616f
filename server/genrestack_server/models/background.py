"""Slow work away from the event loop, in one thread of its own: requests never wait behind it."""

import asyncio
import ctypes
import functools
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

from genrestack_server.errors import Draining

_P = ParamSpec("_P")
_T = TypeVar("_T")
# From malloc.h. Blocks of this size or more come from the system and go back to it when they are freed. By itself glibc
# raises the bound to 32 MiB once it has seen such blocks, and then keeps tens of MiB of weights that nobody has.
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 2 * 2**20
# After this long without a large request, trimming delays no call.
_QUIET_S: Final = 1.0


class BackgroundThread:
    """One thread, first come, first served."""

    def __init__(self, name: str) -> None:
        self.closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do this in the thread, and wait for it.

        Raises:
            Draining: `close` was called before.

        """
        if self.closed:
            raise Draining("the server is stopping; ask another server")
        # Not as the future's result: futures chained from thread to loop refer to each other in a circle, which would
        # hold a whole model in memory until the next collection of garbage.
        result: list[_T] = []
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: result.append(work(*args, **kwargs)))
        return result.pop()

    def submit(self, work: Callable[[], None]) -> None:
        """Do this in the thread some time, unless it is closed."""
        if not self.closed:
            self._thread.submit(work)

    def close(self) -> None:
        """Begin nothing more; what is being done goes on to its end."""
        self.closed = True
        self._thread.shutdown(wait=False)


def keep_little() -> None:
    """Ask the C library, where it is glibc, to return large blocks as soon as they are freed."""
    if library := _glibc():
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Return what was freed in small blocks, where the C library is glibc."""
    if library := _glibc():
        library.malloc_trim(0)


def give_back_once_freed(held: object, background: BackgroundThread) -> None:
    """Call `give_back` in a thread, soon after the last reference to an object is gone."""
    weakref.finalize(held, _give_back_soon, asyncio.get_running_loop(), background).atexit = False


def _give_back_soon(loop: asyncio.AbstractEventLoop, background: BackgroundThread) -> None:
    # Called by whichever thread let go last, and a moment before the memory is free.
    if not loop.is_closed():
        loop.call_soon_threadsafe(background.submit, give_back)


class MemoryTrimmer:
    """Gives memory back once large requests have ended. Belongs to one event loop.

    gRPC keeps and unpacks a message in blocks of a few KiB, which stay with the process when they are freed.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def submit(self) -> None:
        """Return free memory to the system after a moment; calling it again before that postpones it."""
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
