"""Runs sessions, in a thread or at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from genrestack_bundle import Answer, ComposedSession
from genrestack_proto.matrix import FloatMatrix


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended."""

    answer: Answer | Exception
    finite: bool
    """Whether all probabilities are finite."""
    seconds: float


class Executor:
    """A thread that runs sessions, one run after another.

    One thread: a run of many rows already uses every core the process has (intra-op threads), and with every run on all
    cores a second one beside it made neither streams nor single rows quicker.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genrestack-run")

    def start(self, session: ComposedSession, rows: FloatMatrix, then: Callable[[Ran], None]) -> None:
        """Run rows of shape (n, f) through a session in the thread; `then` is called in this event loop."""
        self._thread.submit(_run_for, asyncio.get_running_loop(), session, rows, then)

    def close(self) -> None:
        """Take nothing more and drop what still waits; a run under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def run_now(session: ComposedSession, rows: FloatMatrix) -> Ran:
    """Run rows of shape (n, f) through a session, here; what it raises is its answer."""
    began = time.perf_counter()
    try:
        answer = session.run(rows)
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class, and whoever waits has to be told
        return Ran(error, finite=True, seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    return Ran(answer, bool(np.isfinite(answer.probabilities).all()), seconds)


def _run_for(
    loop: asyncio.AbstractEventLoop, session: ComposedSession, rows: FloatMatrix, then: Callable[[Ran], None]
) -> None:
    ran = run_now(session, rows)
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(then, ran)
