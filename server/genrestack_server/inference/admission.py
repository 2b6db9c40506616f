"""Counts what is in flight, so that a server can stop without cutting anybody off."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from genrestack_server.errors import DeadlineExceeded, Draining, RequestError, TooManyCalls

# Most calls take less, and who was only unlucky may come back at once.
_RETRY_AFTER_S: Final = 0.1
# An honest caller's request is read in less, on a busy machine too: until then its call is not ended for another's.
_GRACE_S: Final = 1.0
# Calls that may stand in line for a place; with more, the oldest of those that have one is ended at once.
_IN_LINE: Final = 64


class AdmissionControl:
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

    @property
    def closed(self) -> bool:
        """Whether nothing more is admitted."""
        return self._closed

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Admit one call for as long as the block lasts.

        Raises:
            Draining: the server is stopping.
            TooManyCalls: as many calls as may be are in flight, and all of them have sent a request.

        """
        if self._closed:
            self._refused += 1
            raise _draining()
        if self._limit is not None and self.in_flight >= self._limit and not self.waiting.evict_oldest():
            text = (
                f"the server serves no more than {self._limit} calls at once (--max-concurrent-rpcs); try again shortly"
            )
            raise TooManyCalls(text, _RETRY_AFTER_S)
        self.in_flight += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._empty.set()

    def close(self) -> None:
        """Admit nothing more, and stop waiting for requests."""
        self._closed = True
        self.waiting.evict(_draining())

    async def wait_quiet(self, quiet_s: float, timeout_s: float) -> None:
        """Wait until no call was rejected for `quiet_s`; at most `timeout_s`."""
        end = time.monotonic() + timeout_s
        before = -1
        while before != self._refused and time.monotonic() < end:
            before = self._refused
            await asyncio.sleep(quiet_s)

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight, at most `timeout_s`; return whether that came about."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


def _draining() -> Draining:
    return Draining("the server is stopping; try again, or ask another server")


class WaitingCalls:
    """Calls whose caller has yet to send something. Belongs to one event loop.

    A caller that opens calls and sends nothing would otherwise keep everybody else out for as long as it likes: honest
    callers send with the call, and are never the oldest for long.
    """

    def __init__(self, limit: int | None = None) -> None:
        """Begin with none.

        Args:
            limit: calls that may wait at once; None: any number.

        """
        self._limit = limit
        self._since: dict[asyncio.Task[Any], float] = {}
        self._line: list[asyncio.Future[None]] = []
        self._make_room_timer: asyncio.TimerHandle | None = None
        self._due: dict[asyncio.Task[Any], float] = {}
        self._evicted: dict[asyncio.Task[Any], RequestError] = {}
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def limited(self) -> bool:
        """Whether there is a limit on how many wait."""
        return self._limit is not None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._due)

    async def room(self) -> None:
        """Return once there is a place: a free one, or that of a call that has had its own for long enough.

        The newest in line goes first: in a flood of calls that send nothing, that is the honest one.
        """
        loop = asyncio.get_running_loop()
        while self._limit is not None and len(self._due) >= self._limit and len(self._line) < _IN_LINE:
            turn = loop.create_future()
            self._line.append(turn)
            if self._make_room_timer is None:
                self._make_room()
            try:
                await turn
            finally:
                if turn in self._line:
                    self._line.remove(turn)

    @contextmanager
    def waiting(self, timeout_s: float | None = None) -> Iterator[None]:
        """Count the task that runs this as waiting for as long as the block lasts.

        Args:
            timeout_s: seconds after which it has waited too long; None: never.

        Raises:
            TooManyCalls: it was evicted for calls that came after it.
            DeadlineExceeded: it has waited too long.
            RequestError: whatever `evict` was given.

        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        if self._limit is not None and len(self._due) >= self._limit:
            self.evict_oldest()
        self._since[task] = task.get_loop().time()
        self._due[task] = math.inf if timeout_s is None else self._since[task] + timeout_s
        if timeout_s is not None and self._sweep is None:
            self._sweep = task.get_loop().call_at(self._due[task], self._evict_late)
        try:
            yield
        except asyncio.CancelledError:
            error = self._evicted.get(task)
            # Cancelled by its caller as well: then the error has no receiver.
            if error is None or task.uncancel():
                raise
            raise error from None
        finally:
            self._due.pop(task, None)
            self._since.pop(task, None)
            self._evicted.pop(task, None)
            self._wake()

    def evict_oldest(self) -> bool:
        """End the call that has waited longest, and tell whether there was one."""
        for task in self._due:
            text = "the request had not arrived when too many others came; send it together with the call, try again"
            self._evict(task, TooManyCalls(text, _RETRY_AFTER_S))
            return True
        return False

    def evict(self, error: RequestError) -> None:
        """End every call that waits, with this."""
        for task in list(self._due):
            self._evict(task, error)

    def _make_room(self) -> None:
        """End those who have had a place for long enough, as long as there is a line, and come back for the next."""
        loop, self._make_room_timer = asyncio.get_running_loop(), None
        for _ in range(len(self._line)):
            since = self._since[next(iter(self._due))] if self._due else math.inf
            if since + _GRACE_S > loop.time():
                break
            self.evict_oldest()
        if self._limit is not None and len(self._due) < self._limit:
            self._wake()
        if self._line:
            oldest = min((self._since[task] for task in self._due), default=loop.time())
            self._make_room_timer = loop.call_at(oldest + _GRACE_S, self._make_room)

    def _wake(self) -> None:
        if self._line and not (turn := self._line.pop()).done():
            turn.set_result(None)

    def _evict(self, task: "asyncio.Task[Any]", error: RequestError) -> None:
        del self._due[task]
        self._evicted[task] = error
        task.cancel()

    def _evict_late(self) -> None:
        """End those who waited too long, and come back when the next may have."""
        loop, self._sweep = asyncio.get_running_loop(), None
        for task in [task for task, due in self._due.items() if due <= loop.time()]:
            self._evict(task, DeadlineExceeded("the request did not arrive in time; send it together with the call"))
        due = min(self._due.values(), default=math.inf)
        if due < math.inf:
            self._sweep = loop.call_at(due, self._evict_late)
