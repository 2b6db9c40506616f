"""One batcher in front of all sessions: admits requests, decides when they are computed, tells observers."""

import asyncio
import time
from collections import OrderedDict
from functools import partial

from genrestack_bundle import Answer
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.calls import Call, Observer
from genrestack_server.config import ServerConfig
from genrestack_server.drain import DrainRate
from genrestack_server.errors import DeadlinePassedError, DrainingError, QueueFullError
from genrestack_server.execution import Execution, Job
from genrestack_server.executor import Executor, Ran, run_now
from genrestack_server.gathering import Gathering
from genrestack_server.lines import Lines
from genrestack_server.registry import ServedModel
from genrestack_server.text import counted


class Batcher:
    """Requests wait in lines and are computed, several at a time, as soon as nothing else runs; see `Lines`.

    Belongs to one event loop. A quick run of a request that has nobody beside it is done at once, on the loop, which
    spares a lone caller the waking of another thread and the waking by it.
    """

    def __init__(self, executor: Executor, observers: Observer, config: ServerConfig) -> None:
        self._executor = executor
        self._observers = observers
        self._most_waiting = config.max_queue_rows
        self._most_rows = config.max_batch_rows
        self._delay = config.max_queue_delay
        self._lines: Lines[Job] = Lines(config.max_batch_rows, sharing=config.batching)
        self._outside: OrderedDict[Job, None] = OrderedDict()
        self._gathering = Gathering()
        self._rate = DrainRate()
        self._running = 0
        self._next: asyncio.Handle | None = None
        self._closed = False

    @property
    def waiting_rows(self) -> int:
        """Rows that wait in the queue."""
        return self._lines.rows

    async def run(self, served: ServedModel, rows: FloatMatrix, call: Call) -> Answer:
        """Answer rows, float32 of shape (n, f).

        Args:
            served: the version that computes them.
            rows: finite, contiguous, in the model's column order.
            call: the request; times and rows of its executions are filled in.

        Raises:
            DeadlinePassedError: the rows' turn came too late.
            QueueFullError: the queue is full.
            InvalidRequestError: the model has no finite answer for some row.

        """
        loop = asyncio.get_running_loop()
        job = Job(
            version=served,
            rows=len(rows),
            urgent=call.urgent,
            deadline=call.deadline,
            matrix=rows,
            call=call,
            answer=loop.create_future(),
            admitted=time.monotonic(),
        )
        self._admit(job)
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._drop(job)
            raise

    def close(self) -> None:
        """Take nothing more, and fail what waits; a run under way ends by itself."""
        self._closed = True
        while (taken := self._lines.take(0.0)).pieces:
            for piece in taken.pieces:
                piece.job.fail(DrainingError("the server has stopped; ask another server"))
        for job in self._outside:
            job.fail(DrainingError("the server has stopped; ask another server"))
        self._executor.close()

    def _admit(self, job: Job) -> None:
        if not self._outside and self._fits(job):
            self._lines.put(job)
            self._wake(hurried=job.urgent)
        elif job.call.patient:
            self._outside[job] = None
        else:
            raise QueueFullError(
                f"{counted(self._lines.rows, 'row')} wait already, the limit is {self._most_waiting:,} "
                "(--max-queue-rows); try again after the delay in the details",
                self._rate.seconds_for(self._lines.rows),
            )

    def _fits(self, job: Job) -> bool:
        # An empty queue takes any request: one that is larger than the whole queue would otherwise never be computed.
        return not self._lines.rows or self._lines.rows + job.rows <= self._most_waiting

    def _drop(self, job: Job) -> None:
        self._outside.pop(job, None)
        self._lines.leave(job)
        self._let_in()

    def _let_in(self) -> None:
        """Let those who wait for room into the queue, in the order in which they came."""
        while self._outside and self._fits(job := next(iter(self._outside))):
            del self._outside[job]
            self._lines.put(job)
            self._wake(hurried=job.urgent)

    def _most_running(self) -> int:
        # Where a whole execution waits there is nothing to wait for: the next one is ready when the present one ends,
        # and the thread goes on without a gap.
        return 2 if self._lines.rows >= self._most_rows else 1

    def _wake(self, *, hurried: bool = False) -> None:
        """See to it that what waits is computed."""
        if self._closed or self._running >= self._most_running():
            return
        at_once = hurried or not self._delay or self._lines.rows >= self._most_rows
        if self._next is not None:
            if not at_once or not isinstance(self._next, asyncio.TimerHandle):
                return
            self._next.cancel()
        loop = asyncio.get_running_loop()
        # A turn of the loop, for those who have arrived and have not got this far.
        self._next = loop.call_soon(self._gather) if at_once else loop.call_later(self._delay, self._begin)

    def _gather(self) -> None:
        if self._lines.rows < self._most_rows and self._gathering.another_turn(self._lines.rows):
            self._next = asyncio.get_running_loop().call_soon(self._gather)
        else:
            self._begin()

    def _begin(self) -> None:
        self._next = None
        now = time.monotonic()
        taken = self._lines.take(now)
        for job in taken.late:
            job.fail(DeadlinePassedError("the deadline passed while the rows waited; allow more time or send less"))
        if taken.pieces:
            self._execute(Execution(taken.pieces), now)
        self._let_in()
        if self._lines.rows:
            self._wake()

    def _execute(self, execution: Execution, now: float) -> None:
        self._running += 1
        self._gathering.begun(execution.requests)
        served, rows = execution.served, execution.begin(now)
        if (
            self._running == 1
            and execution.requests == 1
            and not self._lines.rows
            and execution.rows <= served.quick_rows
        ):
            self._end(execution, run_now(served.session, rows))
        else:
            self._executor.start(served.session, rows, partial(self._end, execution))

    def _end(self, execution: Execution, ran: Ran) -> None:
        self._running -= 1
        for job in execution.end(ran):
            self._lines.leave(job)
        self._rate.note(execution.rows, ran.seconds)
        self._observers.executed(execution.served, execution.rows, execution.requests, ran.seconds)
        self._let_in()
        if self._lines.rows:
            self._wake()
