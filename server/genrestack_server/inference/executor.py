"""Runs sessions, in a thread or at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from genrestack_bundle import Answer, Cancellation, RunLimit, verify_answer
from genrestack_common.text import counted
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.errors import RunEndedError
from genrestack_server.models.registry import ServedModel


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended."""

    answer: Answer | Exception
    finite: bool
    """Whether all probabilities are finite."""
    seconds: float

    @property
    def ended(self) -> bool:
        """Whether its time limit ended it."""
        return isinstance(self.answer, RunEndedError)


class ThreadLimit(RunLimit):
    """Limits a run in the thread, and has the event loop in which it was made told when it ends it."""

    __slots__ = ("_loop", "_told")

    def __init__(self, told: Callable[[], object], *, at: float, seconds: float, cancellation: Cancellation) -> None:
        super().__init__(at=at, seconds=seconds, cancellation=cancellation)
        self._loop = asyncio.get_running_loop()
        self._told = told

    def _tell(self) -> None:
        super()._tell()
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            self._loop.call_soon_threadsafe(self._told)


class Executor:
    """A thread that runs sessions, one run after another.

    One thread: a run of many rows already uses every core the process has (intra-op threads), and with every run on all
    cores a second one beside it made neither streams nor single rows quicker.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genrestack-run")
        self.cancellation = Cancellation()
        """Ends the run under way, if its limit names it, once this is closed."""

    def start(self, served: ServedModel, rows: FloatMatrix, limit: RunLimit, then: Callable[[Ran], None]) -> None:
        """Run rows of shape (n, f) through a version in the thread; `then` is called in this event loop."""
        self._thread.submit(_run_for, asyncio.get_running_loop(), served, rows, limit, then)

    def close(self) -> None:
        """Take nothing more, drop what still waits, and end the run under way."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.cancellation.cancel()


def run_now(served: ServedModel, rows: FloatMatrix, limit: RunLimit) -> Ran:
    """Run rows of shape (n, f) through a version, here; what it raises is its answer."""
    began = time.perf_counter()
    finite = True
    answer: Answer | Exception
    try:
        with limit:
            answer = served.session.run(rows, limit.options)
        finite = verify_answer(answer, len(rows), len(served.classes))
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class, and whoever waits has to be told
        answer = took_too_long(served, len(rows)) if limit.over else error
    return Ran(answer, finite, time.perf_counter() - began)


def took_too_long(served: ServedModel, rows: int) -> RunEndedError:
    """Make the error of a run that was ended."""
    return RunEndedError(f"{served.title} took too long for {counted(rows, 'row')}, and was ended")


def _run_for(
    loop: asyncio.AbstractEventLoop,
    served: ServedModel,
    rows: FloatMatrix,
    limit: RunLimit,
    then: Callable[[Ran], None],
) -> None:
    ran = run_now(served, rows, limit)
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(then, ran)
