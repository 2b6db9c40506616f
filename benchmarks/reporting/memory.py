"""The memory of a process and those it starts, followed while it works."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

_LOOK_EVERY_S: Final = 0.2


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Follow the memory of this process and those it starts; gives the most so far, in bytes, shared pages once."""
    import psutil

    over, most = Event(), [0.0]

    def look() -> None:
        total = 0
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        most[0] = max(most[0], total)

    def follow() -> None:
        while not over.wait(_LOOK_EVERY_S):
            look()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        # The kernel's own maximum misses nothing, but knows of this process alone.
        yield lambda: max(most[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0)
    finally:
        over.set()
        thread.join()
