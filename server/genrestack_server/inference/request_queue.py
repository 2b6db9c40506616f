"""Who is computed next: the lines in which requests wait, and what an execution takes from them. No clocks, no loop.

An execution takes rows of one version. Versions take turns. Within a version, requests are taken in the order in which
they came; one turn of a request is as many rows as an execution holds, and who has more goes to the back of the line.
Urgent requests have a line of their own that goes first; every fourth execution, the other one does.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

URGENT_RUN: Final = 3
"""So many executions in a row may put urgent requests first while others wait."""


@dataclass(slots=True, eq=False, kw_only=True)
class Waiting:
    """A request that waits, wholly or with its last rows."""

    version: Hashable
    """What computes it; requests of the same version may share an execution."""
    rows: int
    urgent: bool = False
    deadline: float | None = None
    """Moment after which it is not worth computing; None: never."""
    taken: int = 0
    """Rows that executions have taken."""
    turn: int = 0
    """Rows taken of the present turn."""


J = TypeVar("J", bound=Waiting)


class Piece(NamedTuple, Generic[J]):
    """Rows of a request that go into an execution together: from `start` up to `stop`."""

    job: J
    start: int
    stop: int


@dataclass(slots=True)
class Taken(Generic[J]):
    """What an execution computes, and what was found to be too late."""

    pieces: list[Piece[J]] = field(default_factory=list)
    late: list[J] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the execution."""
        return sum(piece.stop - piece.start for piece in self.pieces)


class _Pair(Generic[J]):
    """The two lines of one version. Ordered dictionaries, so that whoever leaves does so at once."""

    __slots__ = ("normal", "urgent")

    def __init__(self) -> None:
        self.urgent: OrderedDict[J, None] = OrderedDict()
        self.normal: OrderedDict[J, None] = OrderedDict()

    def of(self, job: J) -> "OrderedDict[J, None]":
        return self.urgent if job.urgent else self.normal


class Lines(Generic[J]):
    """All requests that wait, and the order in which they are computed."""

    def __init__(self, most_rows: int, *, sharing: bool = True) -> None:
        """Begin empty.

        Args:
            most_rows: rows of an execution, at most.
            sharing: whether requests may share an execution.

        """
        self.rows = 0
        """Rows that wait."""
        self._most = most_rows
        self._sharing = sharing
        self._pairs: OrderedDict[Hashable, _Pair[J]] = OrderedDict()
        self._urgent_run = 0

    def put(self, job: J) -> None:
        """Let a request join its line."""
        pair = self._pairs.get(job.version)
        if pair is None:
            pair = self._pairs[job.version] = _Pair()
        pair.of(job)[job] = None
        self.rows += job.rows - job.taken

    def leave(self, job: J) -> None:
        """Take a request out; nothing happens if it no longer waits."""
        pair = self._pairs.get(job.version)
        if pair is not None and job in pair.of(job):
            del pair.of(job)[job]
            self.rows -= job.rows - job.taken
            self._tidy(job.version, pair)

    def take(self, now: float) -> Taken[J]:
        """Take the rows of one execution; none are left waiting if it is empty.

        Args:
            now: what deadlines are compared with.

        """
        taken: Taken[J] = Taken()
        while self._pairs and not taken.pieces:
            normal_first = self._normal_first()
            version, pair = self._next(normal=normal_first)
            lines = (pair.normal, pair.urgent) if normal_first else (pair.urgent, pair.normal)
            for line in lines:
                self._fill(taken, line, now)
            self._pairs.move_to_end(version)
            self._tidy(version, pair)
        return taken

    def _normal_first(self) -> bool:
        """Tell whether it is the turn of those who are not urgent."""
        urgent = any(pair.urgent for pair in self._pairs.values())
        normal = any(pair.normal for pair in self._pairs.values())
        if not (urgent and normal):
            self._urgent_run = 0
            return not urgent
        self._urgent_run = (self._urgent_run + 1) % (URGENT_RUN + 1)
        return self._urgent_run == 0

    def _next(self, *, normal: bool) -> tuple[Hashable, _Pair[J]]:
        return next((v, pair) for v, pair in self._pairs.items() if (pair.normal if normal else pair.urgent))

    def _fill(self, taken: Taken[J], line: "OrderedDict[J, None]", now: float) -> None:
        room = self._most - taken.rows
        while line and room and (self._sharing or not taken.pieces):
            job = next(iter(line))
            left = job.rows - job.taken
            if job.deadline is not None and now >= job.deadline:
                del line[job]
                self.rows -= left
                taken.late.append(job)
                continue
            count = min(room, left, self._most - job.turn if len(line) > 1 else room)
            taken.pieces.append(Piece(job, job.taken, job.taken + count))
            self.rows -= count
            room -= count
            self._advance(job, count, line)

    def _advance(self, job: J, count: int, line: "OrderedDict[J, None]") -> None:
        job.taken += count
        job.turn += count
        if job.taken == job.rows:
            del line[job]
        elif job.turn >= self._most:
            job.turn = 0
            line.move_to_end(job)

    def _tidy(self, version: Hashable, pair: _Pair[J]) -> None:
        if not pair.urgent and not pair.normal:
            del self._pairs[version]
