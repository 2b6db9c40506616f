"""Who is computed next: the queues in which requests wait, and what a batch takes from them. No clocks, no loop.

A batch takes rows of one version. Versions take turns. Within a version, requests are taken in the order in which
they came; one turn of a request is as many rows as a batch holds, and who has more goes to the back of the queue.
Requests of high priority have a queue of their own that goes first; every fourth batch, the other one does.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

HIGH_PRIORITY_RUN: Final = 3
"""Batches in a row that may put high priority first while others wait."""


@dataclass(slots=True, eq=False, kw_only=True)
class QueuedRequest:
    """A request that waits, wholly or with its last rows."""

    version: Hashable
    """What computes it; requests of the same version may share a batch."""
    rows: int
    high_priority: bool = False
    deadline: float | None = None
    """Moment after which it is not worth computing; None: never."""
    taken: int = 0
    """Rows that batches have taken."""
    quantum: int = 0
    """Rows taken of the present turn."""


J = TypeVar("J", bound=QueuedRequest)


class RowSlice(NamedTuple, Generic[J]):
    """Rows of a request that go into a batch together: from `start` up to `stop`."""

    request: J
    start: int
    stop: int


@dataclass(slots=True)
class BatchSlice(Generic[J]):
    """What a batch computes, and what was found to be too late."""

    slices: list[RowSlice[J]] = field(default_factory=list)
    expired: list[J] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return sum(part.stop - part.start for part in self.slices)


class _VersionQueues(Generic[J]):
    """The two queues of one version. Ordered dictionaries, so that a request can be removed at once."""

    __slots__ = ("high_priority", "normal")

    def __init__(self) -> None:
        self.high_priority: OrderedDict[J, None] = OrderedDict()
        self.normal: OrderedDict[J, None] = OrderedDict()

    def of(self, request: J) -> "OrderedDict[J, None]":
        return self.high_priority if request.high_priority else self.normal


class RequestQueue(Generic[J]):
    """All requests that wait, and the order in which they are computed."""

    def __init__(self, max_batch_rows: int, *, batching: bool = True) -> None:
        """Begin empty.

        Args:
            max_batch_rows: rows of a batch at most.
            batching: whether requests may share a batch.

        """
        self.rows = 0
        """Rows that wait."""
        self._max_batch_rows = max_batch_rows
        self._batching = batching
        self._queues: OrderedDict[Hashable, _VersionQueues[J]] = OrderedDict()
        self._high_priority_run = 0

    def put(self, request: J) -> None:
        """Add a request to its queue."""
        pair = self._queues.get(request.version)
        if pair is None:
            pair = self._queues[request.version] = _VersionQueues()
        pair.of(request)[request] = None
        self.rows += request.rows - request.taken

    def leave(self, request: J) -> None:
        """Remove a request; nothing happens if it no longer waits."""
        pair = self._queues.get(request.version)
        if pair is not None and request in pair.of(request):
            del pair.of(request)[request]
            self.rows -= request.rows - request.taken
            self._tidy(request.version, pair)

    def take(self, now: float) -> BatchSlice[J]:
        """Return the rows of one batch, removed from the queue; none are left waiting if it is empty.

        Args:
            now: what deadlines are compared with.

        """
        taken: BatchSlice[J] = BatchSlice()
        while self._queues and not taken.slices:
            normal_first = self._normal_priority_first()
            version, pair = self._next(normal=normal_first)
            queues = (pair.normal, pair.high_priority) if normal_first else (pair.high_priority, pair.normal)
            for queue in queues:
                self._take_rows(taken, queue, now)
            self._queues.move_to_end(version)
            self._tidy(version, pair)
        return taken

    def _normal_priority_first(self) -> bool:
        """Return whether it is the turn of normal priority."""
        high_priority = any(pair.high_priority for pair in self._queues.values())
        normal = any(pair.normal for pair in self._queues.values())
        if not (high_priority and normal):
            self._high_priority_run = 0
            return not high_priority
        self._high_priority_run = (self._high_priority_run + 1) % (HIGH_PRIORITY_RUN + 1)
        return self._high_priority_run == 0

    def _next(self, *, normal: bool) -> tuple[Hashable, _VersionQueues[J]]:
        return next((v, pair) for v, pair in self._queues.items() if (pair.normal if normal else pair.high_priority))

    def _take_rows(self, taken: BatchSlice[J], queue: "OrderedDict[J, None]", now: float) -> None:
        room = self._max_batch_rows - taken.rows
        while queue and room and (self._batching or not taken.slices):
            request = next(iter(queue))
            left = request.rows - request.taken
            if request.deadline is not None and now >= request.deadline:
                del queue[request]
                self.rows -= left
                taken.expired.append(request)
                continue
            count = min(room, left, self._max_batch_rows - request.quantum if len(queue) > 1 else room)
            taken.slices.append(RowSlice(request, request.taken, request.taken + count))
            self.rows -= count
            room -= count
            self._advance(request, count, queue)

    def _advance(self, request: J, count: int, queue: "OrderedDict[J, None]") -> None:
        request.taken += count
        request.quantum += count
        if request.taken == request.rows:
            del queue[request]
        elif request.quantum >= self._max_batch_rows:
            request.quantum = 0
            queue.move_to_end(request)

    def _tidy(self, version: Hashable, pair: _VersionQueues[J]) -> None:
        if not pair.high_priority and not pair.normal:
            del self._queues[version]
