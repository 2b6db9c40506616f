"""Time limits of what onnxruntime does: a run ends between two nodes, loading between two steps.

Nothing ends within a single node or step: onnxruntime offers no way to.
"""

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Final, Self

_log = logging.getLogger(__name__)

# The lock beneath a wait takes no endless one.
_LONGEST_WAIT_S: Final = 3600.0


class Cancellation:
    """Ends everything whose time limit names it, now and from now on. Thread-safe."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """End what is under way; whatever begins later ends at once."""
        self.cancelled = True
        WATCHDOG.end_all_of(self)


class TimeLimit(ABC):
    """Ends a piece of work at a moment or when it is cancelled; a context around the work. Thread-safe."""

    __slots__ = ("at", "cancellation", "over", "seconds")

    def __init__(
        self, *, at: float = math.inf, seconds: float = math.inf, cancellation: Cancellation | None = None
    ) -> None:
        """Limit nothing yet; that begins with the context.

        Args:
            at: moment of `time.monotonic` at which the work ends at the latest.
            seconds: time that the work may take from the beginning of the context.
            cancellation: what may end the work before.

        """
        self.at = at
        self.seconds = seconds
        self.cancellation = cancellation
        self.over = False
        """Whether the work was told to end."""

    def __enter__(self) -> Self:
        WATCHDOG.watch(self, now := time.monotonic())
        if self.at <= now or (self.cancellation is not None and self.cancellation.cancelled):
            self.end()
        return self

    def __exit__(self, *_: object) -> None:
        WATCHDOG.release(self)

    def lower(self, at: float) -> None:
        """End the work at this moment, unless it ends before."""
        WATCHDOG.lower(self, at)

    def end(self) -> None:
        """Stop the work."""
        self.over = True
        self._notify()

    @abstractmethod
    def _notify(self) -> None:
        """Stop the work; called by any thread, perhaps more than once."""


class LoadLimit(TimeLimit):
    """Limits the creation of a session from these `onnxruntime.SessionOptions`."""

    __slots__ = ("_options",)

    def __init__(self, options: Any, *, seconds: float, cancellation: Cancellation | None = None) -> None:
        super().__init__(seconds=seconds, cancellation=cancellation)
        self._options = options

    def _notify(self) -> None:
        self._options.set_load_cancellation_flag(True)


class Watchdog:
    """One thread that ends what has reached its time limit.

    It wakes at the earliest moment it was told of, even if that work has ended meanwhile, so that of many runs in a row
    hardly one has to wake it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._limits: set[TimeLimit] = set()
        self._wakes = math.inf
        """When the thread looks again."""
        self._thread: threading.Thread | None = None

    def watch(self, limit: TimeLimit, now: float) -> None:
        """End this at its moment; its work begins now."""
        with self._lock:
            limit.at = min(limit.at, now + limit.seconds)
            self._limits.add(limit)
            self._wake_before(limit.at)

    def release(self, limit: TimeLimit) -> None:
        """Stop watching a limit: its work has ended."""
        with self._lock:
            self._limits.discard(limit)

    def lower(self, limit: TimeLimit, at: float) -> None:
        """Bring a limit's deadline forward, whether its work has begun or not."""
        with self._lock:
            limit.at = min(limit.at, at)
            if limit in self._limits:
                self._wake_before(limit.at)

    def end_all_of(self, cancellation: Cancellation) -> None:
        """End everything that names this cancellation."""
        with self._lock:
            ending = [limit for limit in self._limits if limit.cancellation is cancellation]
        for limit in ending:
            limit.end()

    def _wake_before(self, moment: float) -> None:
        if moment < self._wakes:
            self._wakes = moment
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="genrestack-watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            for limit in self._due():
                try:
                    limit.end()
                except Exception:  # noqa: BLE001 - the others' limits hold, whatever one of them raises
                    _log.exception("what has reached its time limit could not be ended")

    def _due(self) -> list[TimeLimit]:
        """Wait for the next moment, or return what has reached it."""
        with self._lock:
            now = time.monotonic()
            if now < self._wakes:
                self._changed.wait(min(self._wakes - now, _LONGEST_WAIT_S))
                return []
            due = [limit for limit in self._limits if limit.at <= now]
            self._limits.difference_update(due)
            self._wakes = min((limit.at for limit in self._limits), default=math.inf)
            return due


WATCHDOG: Final = Watchdog()
"""The process's; its thread starts with the first limit."""
