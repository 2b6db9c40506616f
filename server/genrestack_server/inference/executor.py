"""Runs sessions in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from genrestack_bundle import Cancellation, RunLimit
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.inference.batch import RunResult, run_now
from genrestack_server.models.registry import ServedModel


class ThreadLimit(RunLimit):
    """Limits a run in the thread, and notifies the event loop in which it was made when it ends it."""

    __slots__ = ("_loop", "_on_end")

    def __init__(self, on_end: Callable[[], object], *, at: float, seconds: float, cancellation: Cancellation) -> None:
        super().__init__(at=at, seconds=seconds, cancellation=cancellation)
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end

    def _notify(self) -> None:
        super()._notify()
        with suppress(RuntimeError):  # the loop has ended: there is no caller left
            self._loop.call_soon_threadsafe(self._on_end)


class Executor:
    """A thread that runs sessions, one run after another.

    One thread: a run of many rows already uses every core the process has (its slices), and with every run on all
    cores a second one beside it made neither streams nor single rows quicker.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genrestack-run")
        self.cancellation = Cancellation()
        """Ends the run under way, if its limit names it, once this is closed."""

    def start(self, served: ServedModel, rows: FloatMatrix, limit: RunLimit, then: Callable[[RunResult], None]) -> None:
        """Run rows of shape (n, f) through a version in the thread; `then` is called in this event loop."""
        self._thread.submit(_run_for, asyncio.get_running_loop(), served, rows, limit, then)

    def close(self) -> None:
        """Accept nothing more, drop what still waits, and end the run under way."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.cancellation.cancel()


def _run_for(
    loop: asyncio.AbstractEventLoop,
    served: ServedModel,
    rows: FloatMatrix,
    limit: RunLimit,
    then: Callable[[RunResult], None],
) -> None:
    result = run_now(served, rows, limit)
    with suppress(RuntimeError):  # the loop has ended: there is no caller left
        loop.call_soon_threadsafe(then, result)
