"""Calls that wait for their caller: a bound on how many, beyond which the oldest makes room, and on how long."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from genrestack_server.errors import DeadlinePassedError, RequestError, TooManyCallsError

# Who was only unlucky may come back at once.
_RETRY_AFTER_S = 0.1


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
        self._due: dict[asyncio.Task[Any], float] = {}
        self._evicted: dict[asyncio.Task[Any], RequestError] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._due)

    @contextmanager
    def waiting(self, timeout_s: float | None = None) -> Iterator[None]:
        """Count the task that runs this as waiting for as long as the block lasts.

        Args:
            timeout_s: seconds after which it has waited too long; None: never.

        Raises:
            TooManyCallsError: so many came after it that it had to make room.
            DeadlinePassedError: it has waited too long.
            RequestError: whatever `evict` was given.

        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        if self._limit is not None and len(self._due) >= self._limit:
            self.evict_oldest()
        self._due[task] = math.inf if timeout_s is None else task.get_loop().time() + timeout_s
        if timeout_s is not None and self._sweep is None:
            self._sweep = task.get_loop().call_at(self._due[task], self._evict_late)
        try:
            yield
        except asyncio.CancelledError:
            error = self._evicted.get(task)
            # Cancelled by its caller as well: then nobody waits for an error.
            if error is None or task.uncancel():
                raise
            raise error from None
        finally:
            self._due.pop(task, None)
            self._evicted.pop(task, None)

    def evict_oldest(self) -> bool:
        """End the call that has waited longest, and tell whether there was one."""
        for task in self._due:
            text = "the request had not arrived when too many others came; send it together with the call, try again"
            self._evict(task, TooManyCallsError(text, _RETRY_AFTER_S))
            return True
        return False

    def evict(self, error: RequestError) -> None:
        """End every call that waits, with this."""
        for task in list(self._due):
            self._evict(task, error)

    def _evict(self, task: "asyncio.Task[Any]", error: RequestError) -> None:
        del self._due[task]
        self._evicted[task] = error
        task.cancel()

    def _evict_late(self) -> None:
        """End those who waited too long, and come back when the next may have."""
        loop, self._sweep = asyncio.get_running_loop(), None
        for task in [task for task, due in self._due.items() if due <= loop.time()]:
            self._evict(task, DeadlinePassedError("the request did not arrive in time; send it together with the call"))
        due = min(self._due.values(), default=math.inf)
        if due < math.inf:
            self._sweep = loop.call_at(due, self._evict_late)
