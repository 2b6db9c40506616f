"""Runs sessions away from the event loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from genrestack_bundle import Answer, ComposedSession
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.errors import DeadlinePassedError


class Executor:
    """Threads that run sessions, first come, first served.

    One thread is enough: a run already uses every core the process has (intra-op threads), so a second one beside it
    only makes both slower. What is cancelled or past its deadline while it waits is never computed.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="genrestack-run")

    async def run(self, session: ComposedSession, rows: FloatMatrix, deadline: float | None) -> Answer:
        """Run rows of shape (n, f) through a session.

        Args:
            session: the composed graph.
            rows: float32, contiguous.
            deadline: moment of `time.monotonic()` after which nobody waits for the answer; None: never.

        Raises:
            DeadlinePassedError: the rows' turn came too late.

        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, _run, session, rows, deadline)

    def close(self) -> None:
        """Take nothing more and drop what still waits; a run under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _run(session: ComposedSession, rows: FloatMatrix, deadline: float | None) -> Answer:
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlinePassedError("the deadline passed while the rows waited their turn; allow more time or send less")
    return session.run(rows)
