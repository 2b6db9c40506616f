"""Counts what is in flight, so that a server can stop without cutting anybody off."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from genrestack_server.errors import DrainingError


class Gate:
    """Open until the server stops; knows when the last one is through. Belongs to one event loop."""

    def __init__(self) -> None:
        self.in_flight = 0
        """Calls that were let in and have not ended."""
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Let one call in for as long as the block lasts.

        Raises:
            DrainingError: the gate is closed.

        """
        if self._closed:
            raise DrainingError("the server is stopping; try again, or ask another server")
        self.in_flight += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._empty.set()

    def close(self) -> None:
        """Let nothing more in."""
        self._closed = True

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight, at most so many seconds; tell whether that came about."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
