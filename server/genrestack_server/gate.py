"""Counts what is in flight, so that a server can stop without cutting anybody off."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from genrestack_server.errors import DrainingError, TooManyCallsError
from genrestack_server.waiting import WaitingCalls

# Most calls take less.
_RETRY_AFTER_S: Final = 0.1


class Gate:
    """Open until the server stops; knows when the last one is through. Belongs to one event loop."""

    def __init__(self, limit: int | None = None) -> None:
        """Make it open.

        Args:
            limit: calls that may be in flight at once; None: any number.

        """
        self._limit = limit
        self.in_flight = 0
        """Calls that were let in and have not ended."""
        self.waiting = WaitingCalls()
        """Those of them whose request has not arrived; they make room for others, and do not hold up the end."""
        self._closed = False
        self._refused = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Let one call in for as long as the block lasts.

        Raises:
            DrainingError: the gate is closed.
            TooManyCallsError: as many calls as may be are in flight, and all of them have sent a request.

        """
        if self._closed:
            self._refused += 1
            raise _draining()
        if self._limit is not None and self.in_flight >= self._limit and not self.waiting.evict_oldest():
            text = (
                f"the server serves no more than {self._limit} calls at once (--max-concurrent-rpcs); try again shortly"
            )
            raise TooManyCallsError(text, _RETRY_AFTER_S)
        self.in_flight += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._empty.set()

    def close(self) -> None:
        """Let nothing more in, and wait for no request any longer."""
        self._closed = True
        self.waiting.evict(_draining())

    async def settled(self, quiet_s: float, timeout_s: float) -> None:
        """Wait until nobody was refused for so long; at most so many seconds."""
        end = time.monotonic() + timeout_s
        before = -1
        while before != self._refused and time.monotonic() < end:
            before = self._refused
            await asyncio.sleep(quiet_s)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight, at most so many seconds; tell whether that came about."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


def _draining() -> DrainingError:
    return DrainingError("the server is stopping; try again, or ask another server")
