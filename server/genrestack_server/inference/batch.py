"""One batch: requests' rows put together, and the answer taken apart again."""

import asyncio
import math
import time
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from genrestack_bundle import Answer, FoundNeighbors, RunLimit, verify_answer
from genrestack_bundle.neighbor_search import verify_neighbors
from genrestack_common.text import counted
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.call import Call
from genrestack_server.errors import DeadlineExceeded, InvalidInput, RunEndedError
from genrestack_server.inference.request_queue import QueuedRequest, RowSlice
from genrestack_server.inference.validation import check_answer
from genrestack_server.models.registry import ServedModel

_S = TypeVar("_S", bound=np.generic)


@dataclass(slots=True, eq=False, kw_only=True)
class PendingRequest(QueuedRequest):
    """A request that waits for its answer."""

    version: ServedModel
    matrix: FloatMatrix
    call: Call
    answer: "asyncio.Future[Answer]"
    admitted: float
    whole: Answer | None = None
    """The answer so far, where several batches make it."""
    finite: bool = True

    def fail(self, error: Exception) -> None:
        """End without an answer, unless the caller has left."""
        if not self.answer.done():
            self.answer.set_exception(error)

    @property
    def until(self) -> float:
        """The caller's deadline."""
        return math.inf if self.deadline is None else self.deadline


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended."""

    answer: Answer | Exception
    finite: bool
    """Whether all probabilities are finite."""
    seconds: float
    ended: bool
    """Whether its time limit ended it."""


class Batch:
    """The pieces of one batch, all of the same version."""

    def __init__(self, slices: list[RowSlice[PendingRequest]], now: float) -> None:
        """Concatenate the rows.

        Args:
            pieces: at least one.
            now: when they left the queue.

        """
        self.served = slices[0].request.version
        self.rows = sum(part.stop - part.start for part in slices)
        self.requests = len({part.request for part in slices})
        for request, start, _ in slices:
            request.call.batch_rows = self.rows
            if not start:
                request.call.admitted, request.call.queued_s = request.admitted, now - request.admitted
        parts = [request.matrix[start:stop] for request, start, stop in slices]
        self.matrix: FloatMatrix = parts[0] if len(parts) == 1 else np.concatenate(parts)
        """float32 of shape (rows, f)."""
        self._slices = slices
        self._patient: list[PendingRequest] | None = None

    @property
    def until(self) -> float:
        """The latest deadline of the callers that have not left."""
        if len(self._slices) == 1:
            request = self._slices[0].request
            return -math.inf if request.answer.done() else request.until
        if self._patient is None:
            self._patient = sorted({part.request for part in self._slices}, key=lambda request: request.until)
        while self._patient and self._patient[-1].answer.done():
            self._patient.pop()
        return self._patient[-1].until if self._patient else -math.inf

    def end(self, result: RunResult) -> list[PendingRequest]:
        """Hand out the answers, or what went wrong in place of them; return whom it failed."""
        first = 0
        for request, start, stop in self._slices:
            last = first + stop - start
            request.call.compute_s += result.seconds
            if not isinstance(result.answer, Exception) and not request.answer.done():
                request.finite &= result.finite
                _deliver(request, start, stop, _rows(result.answer, first, last))
            first = last
        return self.fail(result.answer) if isinstance(result.answer, Exception) else []

    def fail(self, error: Exception) -> list[PendingRequest]:
        """End without answers; return whose they were."""
        now = time.monotonic()
        for request in (requests := [part.request for part in self._slices]):
            too_late = isinstance(error, RunEndedError) and now >= request.until
            request.fail(DeadlineExceeded(_TOO_LATE) if too_late else error)
        return requests


_TOO_LATE: Final = "the deadline passed while the rows were computed; allow more time or send less"


def run_now(served: ServedModel, rows: FloatMatrix, limit: RunLimit) -> RunResult:
    """Run rows of shape (n, f) through a version, here; what it raises is its answer."""
    began = time.perf_counter()
    finite = True
    answer: Answer | Exception
    try:
        with limit:
            answer = served.session.run(rows, limit.options)
        finite = verify_answer(answer, len(rows), len(served.classes))
        if answer.neighbors is not None:
            verify_neighbors(answer.neighbors, len(rows), len(served.classes))
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class, and every caller has to be told
        answer = took_too_long(served, len(rows)) if limit.over else error
    return RunResult(answer, finite, time.perf_counter() - began, isinstance(answer, RunEndedError))


def took_too_long(served: ServedModel, rows: int) -> RunEndedError:
    """Make the error of a run that was ended."""
    return RunEndedError(f"{served.title} took too long for {counted(rows, 'row')}, and was ended")


def _deliver(request: PendingRequest, start: int, stop: int, part: Answer) -> None:
    if start == 0 and stop == request.rows:
        request.whole = part
    else:
        request.whole = request.whole or _blank(part, request.rows)
        _write(request.whole, part, start, stop)
    if stop < request.rows:
        return
    if not request.finite:
        try:
            check_answer(request.whole.probabilities)
        except InvalidInput as error:
            request.fail(error)
            return
    request.answer.set_result(request.whole)


def _rows(answer: Answer, first: int, last: int) -> Answer:
    if first == 0 and last == len(answer.class_index):
        return answer
    return Answer(
        answer.class_index[first:last],
        answer.probabilities[first:last],
        {name: table[first:last] for name, table in answer.base.items()},
        None if answer.neighbors is None else answer.neighbors.take(slice(first, last)),
    )


def _blank(part: Answer, rows: int) -> Answer:
    return replace(
        part,
        class_index=_empty(part.class_index, rows),
        probabilities=_empty(part.probabilities, rows),
        base={name: _empty(table, rows) for name, table in part.base.items()},
        neighbors=None if part.neighbors is None else _blank_neighbors(part.neighbors, rows),
    )


def _blank_neighbors(part: FoundNeighbors, rows: int) -> FoundNeighbors:
    names = None if part.names is None else _empty(part.names, rows)
    novelty = None if part.novelty is None else _empty(part.novelty, rows)
    distances, labels = _empty(part.distances, rows), _empty(part.labels, rows)
    return FoundNeighbors(_empty(part.rows, rows), distances, labels, names, novelty)


def _empty(like: "npt.NDArray[_S]", rows: int) -> "npt.NDArray[_S]":
    return np.empty((rows, *like.shape[1:]), like.dtype)


def _write(whole: Answer, part: Answer, start: int, stop: int) -> None:
    whole.class_index[start:stop] = part.class_index
    whole.probabilities[start:stop] = part.probabilities
    for name, table in part.base.items():
        whole.base[name][start:stop] = table
    if whole.neighbors is not None and part.neighbors is not None:
        found, piece = whole.neighbors, part.neighbors
        found.rows[start:stop], found.distances[start:stop] = piece.rows, piece.distances
        found.labels[start:stop] = piece.labels
        if found.names is not None and piece.names is not None:
            found.names[start:stop] = piece.names
        if found.novelty is not None and piece.novelty is not None:
            found.novelty[start:stop] = piece.novelty
