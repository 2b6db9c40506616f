"""One batcher in front of all sessions: admits requests, decides when they are computed, tells observers."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from genrestack_bundle import Answer, RunLimit
from genrestack_common.text import counted
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import DeadlineExceeded, Draining, QueueFull, RequestError, Stuck
from genrestack_server.inference.batch import Batch, PendingRequest, RunResult, run_now, took_too_long
from genrestack_server.inference.executor import Executor, ThreadLimit
from genrestack_server.inference.request_queue import RequestQueue
from genrestack_server.models.registry import ServedModel
from genrestack_server.telemetry.observer import Observer

_log = logging.getLogger(__name__)

# What a run on the loop may stop it for; it goes on in the thread then, from its beginning.
_LOOP_S: Final = 0.25
# After one that stopped the loop for longer none is run on it for a while: other rows may take as long.
_SLOW_S: Final = 0.1
_SLOW_PAUSE_S: Final = 10.0
# A run that was told to end does so after the node it is at; what takes longer may never come back.
_STUCK_S: Final = 5.0
_STUCK: Final = "a model does not end its run; try again in a few seconds, or ask another server"
# A call that has reached this machine takes gRPC's Python side up to about ten turns of the loop to hand over: accept,
# arm for the next, receive the message, start the handler.
_QUIET_TURNS: Final = 12
# Batches shared by this many requests, on average over the last few, are company.
_COMPANY: Final = 1.5
_MEMORY: Final = 0.5
_LEAST_S: Final = 0.02
_MOST_S: Final = 5.0
_UNKNOWN_S: Final = 1.0
# Seconds of other batches after which one counts half as much.
_HALF_LIFE_S: Final = 5.0


class Batcher:
    """Requests wait in queues and are computed, several at a time, as soon as nothing else runs; see `RequestQueue`.

    Belongs to one event loop. A quick run of a request that is alone is done at once, on the loop, which
    spares a lone caller the waking of another thread and the waking by it.

    A run ends when the latest deadline of its callers has passed, or none of them waits any more, or after
    `max_compute_seconds`.
    """

    def __init__(self, executor: Executor, observers: Observer, config: ServerConfig) -> None:
        self._executor = executor
        self._observers = observers
        self._max_queue_rows = config.max_queue_rows
        self._max_batch_rows = config.max_batch_rows
        self._max_compute_seconds = config.max_compute_seconds
        self._most_on_loop = min(_LOOP_S, config.max_compute_seconds)
        self._delay = config.max_queue_delay
        self._queue: RequestQueue[PendingRequest] = RequestQueue(config.max_batch_rows, batching=config.batching)
        self._backpressured: OrderedDict[PendingRequest, None] = OrderedDict()
        self._window = BatchWindow()
        self._throughput = ThroughputEstimator()
        self._running = 0
        self._in_thread: dict[Batch, ThreadLimit] = {}
        self._loop_limit = RunLimit()
        self._slow_until = 0.0
        """Until when nothing is run on the loop."""
        self._next: asyncio.Handle | None = None
        self._closed = False
        self.stuck = False
        """Whether a run was told to end and does not; nothing is computed meanwhile."""
        self.stuck_changed: Callable[[], None] = lambda: None
        """Called when `stuck` has changed."""

    @property
    def waiting_rows(self) -> int:
        """Rows that wait in the queue."""
        return self._queue.rows

    async def run(self, served: ServedModel, rows: FloatMatrix, call: Call) -> Answer:
        """Answer rows, float32 of shape (n, f).

        Args:
            served: the version that computes them.
            rows: finite, contiguous, in the model's column order.
            call: the request; times and rows of its batches are filled in.

        Raises:
            DeadlineExceeded: the rows' turn came too late.
            QueueFull: the queue is full.
            InvalidInput: the model has no finite answer for some row.
            RunEndedError: the run took longer than `max_compute_seconds`.
            Stuck: a run does not end, and nothing can be computed beside it.
            WrongAnswerError: the model's answer has another shape, or values that cannot be.

        """
        loop = asyncio.get_running_loop()
        request = PendingRequest(
            version=served,
            rows=len(rows),
            high_priority=call.high_priority,
            deadline=call.deadline,
            matrix=rows,
            call=call,
            answer=loop.create_future(),
            admitted=time.monotonic(),
        )
        self._admit(request)
        try:
            return await request.answer
        except asyncio.CancelledError:
            self._drop(request)
            raise

    def close(self) -> None:
        """Accept nothing more, fail what waits, and end the run under way."""
        self._closed = True
        self._fail_all(Draining("the server has stopped; ask another server"))
        self._executor.close()

    def _fail_all(self, error: RequestError) -> None:
        """Fail what is being computed in the thread and what waits."""
        for batch in self._in_thread:
            self._fail(batch, error)
        while (taken := self._queue.take(0.0)).slices:
            for part in taken.slices:
                part.request.fail(error)
        while self._backpressured:
            self._backpressured.popitem()[0].fail(error)

    def _fail(self, batch: Batch, error: Exception) -> None:
        for request in batch.fail(error):
            self._queue.leave(request)

    def _admit(self, request: PendingRequest) -> None:
        if self.stuck:
            raise Stuck(_STUCK)
        if request.deadline is not None and request.deadline <= request.admitted:
            raise DeadlineExceeded("the deadline had already passed when the request arrived; allow more time")
        if not self._backpressured and self._fits(request):
            self._queue.put(request)
            self._wake(hurried=request.high_priority)
        elif request.call.backpressured:
            self._backpressured[request] = None
        else:
            raise QueueFull(
                f"{counted(self._queue.rows, 'row')} wait already, the limit is {self._max_queue_rows:,} "
                "(--max-queue-rows); try again after the delay in the details",
                self._throughput.retry_after(self._queue.rows),
            )

    def _fits(self, request: PendingRequest) -> bool:
        # An empty queue takes any request: one that is larger than the whole queue would otherwise never be computed.
        return not self._queue.rows or self._queue.rows + request.rows <= self._max_queue_rows

    def _drop(self, request: PendingRequest) -> None:
        self._backpressured.pop(request, None)
        self._queue.leave(request)
        for batch, limit in self._in_thread.items():
            limit.lower(batch.until)
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        """Admit requests that wait for room into the queue, in the order in which they came."""
        while self._backpressured and self._fits(request := next(iter(self._backpressured))):
            del self._backpressured[request]
            self._queue.put(request)
            self._wake(hurried=request.high_priority)

    def _max_running(self) -> int:
        # Where a whole batch waits there is nothing to wait for: the next one is ready when the present one ends,
        # and the thread goes on without a gap.
        return 2 if self._queue.rows >= self._max_batch_rows else 1

    def _wake(self, *, hurried: bool = False) -> None:
        """Make sure that what waits is computed."""
        if self._closed or self._running >= self._max_running():
            return
        at_once = hurried or not self._delay or self._queue.rows >= self._max_batch_rows
        if self._next is not None:
            if not at_once or not isinstance(self._next, asyncio.TimerHandle):
                return
            self._next.cancel()
        loop = asyncio.get_running_loop()
        # A turn of the loop, for those who have arrived and have not got this far.
        self._next = loop.call_soon(self._gather) if at_once else loop.call_later(self._delay, self._begin)

    def _gather(self) -> None:
        if self._queue.rows < self._max_batch_rows and self._window.keep_waiting(self._queue.rows):
            self._next = asyncio.get_running_loop().call_soon(self._gather)
        else:
            self._begin()

    def _begin(self) -> None:
        self._next = None
        now = time.monotonic()
        taken = self._queue.take(now)
        for request in taken.expired:
            request.fail(DeadlineExceeded("the deadline passed while the rows waited; allow more time or send less"))
        if taken.slices:
            self._run_batch(Batch(taken.slices, now), now)
        if self._backpressured:
            self._admit_waiting()
        if self._queue.rows:
            self._wake()

    def _run_batch(self, batch: Batch, now: float) -> None:
        self._running += 1
        self._window.begun(batch.requests)
        if self._is_quick(batch, now):
            result = run_now(batch.served, batch.matrix, self._limit_on_loop(batch, now))
            if result.seconds > _SLOW_S:
                self._slow_until = time.monotonic() + _SLOW_PAUSE_S
            if not result.ended or batch.until <= time.monotonic():
                self._end(batch, result)
                return
        limit = self._in_thread[batch] = ThreadLimit(
            partial(self._ended, batch),
            at=batch.until,
            seconds=self._max_compute_seconds,
            cancellation=self._executor.cancellation,
        )
        self._executor.start(batch.served, batch.matrix, limit, partial(self._end, batch))

    def _is_quick(self, batch: Batch, now: float) -> bool:
        """Return whether to run at once, on the loop."""
        return (
            self._running == 1
            and batch.requests == 1
            and not self._queue.rows
            and batch.rows <= batch.served.inline_max_rows
            and self._slow_until <= now
        )

    def _limit_on_loop(self, batch: Batch, now: float) -> RunLimit:
        limit = self._loop_limit
        if limit.over:
            limit = self._loop_limit = RunLimit()
        limit.at = min(batch.until, now + self._most_on_loop)
        return limit

    def _end(self, batch: Batch, result: RunResult) -> None:
        self._running -= 1
        self._in_thread.pop(batch, None)
        if not result.ended:
            self._throughput.note(batch.rows, result.seconds)
        for request in batch.end(result):
            self._queue.leave(request)
        self._observers.executed(batch.served, batch.rows, batch.requests, result.seconds)
        if not isinstance(result.answer, Exception):
            self._observers.answered(batch.served, batch.matrix, result.answer)
        if self.stuck:
            self._set_stuck(False)
        if self._backpressured:
            self._admit_waiting()
        if self._queue.rows:
            self._wake()

    def _ended(self, batch: Batch) -> None:
        """Answer those whose run in the thread was told to end, whether it does or not."""
        if batch in self._in_thread:
            self._fail(batch, took_too_long(batch.served, batch.rows))
            asyncio.get_running_loop().call_later(_STUCK_S, self._check_ended, batch)

    def _check_ended(self, batch: Batch) -> None:
        if batch in self._in_thread and not self._closed:
            _log.error(
                "%s was told to end a run and does not: one of its operators takes too long; "
                "NOT_SERVING until it is through, restart the server if it never is", batch.served.title,
            )  # fmt: skip
            self._set_stuck(True)
            self._fail_all(Stuck(_STUCK))

    def _set_stuck(self, stuck: bool) -> None:  # noqa: FBT001
        self.stuck = stuck
        self.stuck_changed()


class BatchWindow:
    """Asked once in each turn of the event loop while rows wait and nothing runs.

    Beginning with the first of many who are about to arrive would leave the others to batches of one or two rows
    each, which cost several times as much a row. Waiting for them is free where there are none: a request that has had
    no company lately begins at once.
    """

    def __init__(self) -> None:
        self._company = 0.0
        self._seen = 0
        self._quiet = 0

    def keep_waiting(self, waiting_rows: int) -> bool:
        """Return whether the loop should first turn once more."""
        if self._company < _COMPANY:
            return False
        self._quiet = self._quiet + 1 if waiting_rows == self._seen else 0
        self._seen = waiting_rows
        return self._quiet < _QUIET_TURNS

    def begun(self, requests: int) -> None:
        """Record a batch, and of how many requests it answers."""
        self._company = max(float(requests), self._company * _MEMORY)
        self._seen = self._quiet = 0


class ThroughputEstimator:
    """Rows a second of the latest batches."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._seconds = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """Record a batch."""
        kept = 0.5 ** (seconds / _HALF_LIFE_S)
        self._rows = self._rows * kept + rows
        self._seconds = self._seconds * kept + seconds

    def retry_after(self, rows: int) -> float:
        """Estimate how long this many waiting rows take; 20 ms to 5 s, and 1 s before anything was computed."""
        if not self._seconds:
            return _UNKNOWN_S
        return min(max(rows * self._seconds / self._rows, _LEAST_S), _MOST_S)
