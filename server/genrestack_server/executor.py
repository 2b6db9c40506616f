"""Runs sessions away from the event loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from genrestack_bundle import Answer, ComposedSession
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.errors import DeadlinePassedError


class Executor:
    """A thread that runs sessions, first come, first served.

    One thread: a run of many rows already uses every core the process has (intra-op threads), and with every run on all
    cores a second one beside it made neither streams nor single rows quicker. A quick run that has nobody beside it is
    done at once, on the event loop, which spares a lone caller the waking of that thread and the waking by it; as soon
    as there are two, both go to the thread, and the loop stays free.

    What is cancelled or past its deadline while it waits is never computed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genrestack-run")
        self._unfinished = 0

    async def run(
        self, session: ComposedSession, rows: FloatMatrix, deadline: float | None, *, quick: bool = False
    ) -> Answer:
        """Run rows of shape (n, f) through a session.

        Args:
            session: the composed graph.
            rows: float32, contiguous.
            deadline: moment of `time.monotonic()` after which nobody waits for the answer; None: never.
            quick: whether the run is so short that the event loop may stop for it.

        Raises:
            DeadlinePassedError: the rows' turn came too late.

        """
        self._unfinished += 1
        try:
            if quick and await self._alone():
                return _run(session, rows, deadline)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, _run, session, rows, deadline)
        finally:
            self._unfinished -= 1

    async def _alone(self) -> bool:
        # One turn of the loop, for those who have arrived but have not got this far.
        await asyncio.sleep(0)
        return self._unfinished == 1

    def close(self) -> None:
        """Take nothing more and drop what still waits; a run under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _run(session: ComposedSession, rows: FloatMatrix, deadline: float | None) -> Answer:
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlinePassedError("the deadline passed while the rows waited their turn; allow more time or send less")
    return session.run(rows)
