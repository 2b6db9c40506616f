"""One execution: requests' rows put together, and the answer taken apart again."""

import asyncio
import math
import time
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from genrestack_bundle import Answer
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.call import Call
from genrestack_server.errors import DeadlinePassedError, InvalidRequestError, RunEndedError
from genrestack_server.inference.executor import Ran
from genrestack_server.inference.request_queue import Piece, Waiting
from genrestack_server.inference.validation import check_answer
from genrestack_server.models.registry import ServedModel

_S = TypeVar("_S", bound=np.generic)


@dataclass(slots=True, eq=False, kw_only=True)
class Job(Waiting):
    """A request that waits for its answer."""

    version: ServedModel
    matrix: FloatMatrix
    call: Call
    answer: "asyncio.Future[Answer]"
    admitted: float
    whole: Answer | None = None
    """The answer so far, where several executions make it."""
    finite: bool = True

    def fail(self, error: Exception) -> None:
        """End without an answer, unless nobody waits any more."""
        if not self.answer.done():
            self.answer.set_exception(error)

    @property
    def until(self) -> float:
        """Moment from which on nobody waits for the answer."""
        return math.inf if self.deadline is None else self.deadline


class Execution:
    """The pieces of one execution, all of the same version."""

    def __init__(self, pieces: list[Piece[Job]]) -> None:
        self.served = pieces[0].job.version
        self.rows = sum(piece.stop - piece.start for piece in pieces)
        self.requests = len({piece.job for piece in pieces})
        self._pieces = pieces
        self._patient: list[Job] | None = None

    @property
    def until(self) -> float:
        """Moment from which on nobody waits for any of it: the latest deadline of the callers that have not left."""
        if len(self._pieces) == 1:
            job = self._pieces[0].job
            return -math.inf if job.answer.done() else job.until
        if self._patient is None:
            self._patient = sorted({piece.job for piece in self._pieces}, key=lambda job: job.until)
        while self._patient and self._patient[-1].answer.done():
            self._patient.pop()
        return self._patient[-1].until if self._patient else -math.inf

    def begin(self, now: float) -> FloatMatrix:
        """Put the rows together, float32 of shape (rows, f)."""
        for job, start, _ in self._pieces:
            job.call.batch_rows = self.rows
            if not start:
                job.call.admitted, job.call.queued_s = job.admitted, now - job.admitted
        parts = [job.matrix[start:stop] for job, start, stop in self._pieces]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def end(self, ran: Ran) -> list[Job]:
        """Hand out the answers, or what went wrong in place of them; return whom it failed."""
        first = 0
        for job, start, stop in self._pieces:
            last = first + stop - start
            job.call.compute_s += ran.seconds
            if not isinstance(ran.answer, Exception) and not job.answer.done():
                job.finite &= ran.finite
                _hand_over(job, start, stop, _rows(ran.answer, first, last))
            first = last
        return self.fail(ran.answer) if isinstance(ran.answer, Exception) else []

    def fail(self, error: Exception) -> list[Job]:
        """End without answers; return whose they were."""
        now = time.monotonic()
        for job in (jobs := [piece.job for piece in self._pieces]):
            too_late = isinstance(error, RunEndedError) and now >= job.until
            job.fail(DeadlinePassedError(_TOO_LATE) if too_late else error)
        return jobs


_TOO_LATE: Final = "the deadline passed while the rows were computed; allow more time or send less"


def _hand_over(job: Job, start: int, stop: int, part: Answer) -> None:
    if start == 0 and stop == job.rows:
        job.whole = part
    else:
        job.whole = job.whole or _blank(part, job.rows)
        _write(job.whole, part, start, stop)
    if stop < job.rows:
        return
    if not job.finite:
        try:
            check_answer(job.whole.probabilities)
        except InvalidRequestError as error:
            job.fail(error)
            return
    job.answer.set_result(job.whole)


def _rows(answer: Answer, first: int, last: int) -> Answer:
    if first == 0 and last == len(answer.class_index):
        return answer
    return Answer(
        answer.class_index[first:last],
        answer.probabilities[first:last],
        {name: table[first:last] for name, table in answer.base.items()},
    )


def _blank(part: Answer, rows: int) -> Answer:
    return replace(
        part,
        class_index=_empty(part.class_index, rows),
        probabilities=_empty(part.probabilities, rows),
        base={name: _empty(table, rows) for name, table in part.base.items()},
    )


def _empty(like: "npt.NDArray[_S]", rows: int) -> "npt.NDArray[_S]":
    return np.empty((rows, *like.shape[1:]), like.dtype)


def _write(whole: Answer, part: Answer, start: int, stop: int) -> None:
    whole.class_index[start:stop] = part.class_index
    whole.probabilities[start:stop] = part.probabilities
    for name, table in part.base.items():
        whole.base[name][start:stop] = table
