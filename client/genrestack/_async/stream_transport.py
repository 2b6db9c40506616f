"""What carries the batches of a stream: a PredictStream call or unary calls; and the feed that fetches them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeAlias

import grpc
from grpc import aio

from genrestack._async.tasks import AioStatus, ended, spawn, status_of, task_is_cancelled
from genrestack._core.in_flight import FATAL, Answer, AnswerOrder, StreamItem, Window
from genrestack.errors import GenreStackError, ProtocolError
from genrestack_proto.v1 import prediction_pb2 as pb

Begun: TypeAlias = aio.StreamStreamCall[pb.PredictRequest, bytes]
Start: TypeAlias = Callable[[], Begun]


class AsyncStreamTransport(Protocol):
    """Sends the requests of a stream and receives the answers: an `AsyncStreamCall`, or `AsyncSeparateCalls`."""

    @property
    def fatal(self) -> tuple[type[GenreStackError], ...]:
        """Failures of one item that end the stream."""

    def send(self, request: pb.PredictRequest) -> None:
        """Send without waiting."""

    def finish(self) -> None:
        """Record that no more requests come."""

    async def receive(self, timeout: float | None) -> Answer:  # noqa: ASYNC109 - the sync client's signature
        """Wait for the next answer."""

    async def complete(self, timeout: float) -> None:  # noqa: ASYNC109 - the sync client's signature
        """End well, now that every answer has arrived."""

    async def close(self) -> None:
        """Cancel whatever is in flight."""


class AsyncStreamCall:
    """One PredictStream call: sends without waiting, receives in order.

    Writing and reading are two tasks: a write that waits until the server reads must not block the reading of
    answers, for which the server may be waiting.
    """

    fatal: Final = ()
    """Failures of one item that end the stream: none, it has a status of its own."""

    def __init__(self, start: Start) -> None:
        self._outbox: asyncio.Queue[pb.PredictRequest | None] = asyncio.Queue()
        self._inbox: asyncio.Queue[StreamItem | ProtocolError | grpc.RpcError | None] = asyncio.Queue()
        self._order = AnswerOrder()
        self._call = start()
        self._status = AioStatus(self._call)
        self._tasks = spawn(self._write(), "stream-write"), spawn(self._read(), "stream-read")

    def send(self, request: pb.PredictRequest) -> None:
        """Queue one request; the caller bounds how many."""
        self._order.note_sent(request.rows.shape[0])
        self._outbox.put_nowait(request)

    def finish(self) -> None:
        """End the requests."""
        self._outbox.put_nowait(None)

    async def receive(self, timeout: float | None) -> StreamItem:  # noqa: ASYNC109 - the sync client's signature
        """Wait for the next answer.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            grpc.RpcError: the call failed.
            ProtocolError: the server left out an item, or went on after the last.

        """
        async with asyncio.timeout(timeout):
            answer = await self._inbox.get()
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise self._order.ended()
        return answer

    async def complete(self, timeout: float) -> None:  # noqa: ASYNC109 - the sync client's signature
        """Let the server end the call, now that every answer is there, so that it counts as successful.

        Raises:
            ProtocolError: it goes on with answers to nothing.

        """
        await asyncio.wait(self._tasks, timeout=timeout)
        if not self._inbox.empty() and isinstance(left := self._inbox.get_nowait(), ProtocolError):
            raise left

    async def close(self) -> None:
        """End the call and both tasks."""
        self._call.cancel()
        await ended(*self._tasks)

    async def _write(self) -> None:
        # Why a call has ended is for the reader to say.
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            while (request := await self._outbox.get()) is not None:
                await self._call.write(request)
            await self._call.done_writing()

    async def _read(self) -> None:
        try:
            while isinstance(data := await self._call.read(), bytes):
                self._inbox.put_nowait(self._order.arrived(data))
        except grpc.RpcError as error:
            self._inbox.put_nowait(await self._status.of(error))
        except ProtocolError as error:
            self._inbox.put_nowait(error)
            self._call.cancel()
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
            self._inbox.put_nowait(await status_of(self._call))
        else:
            self._inbox.put_nowait(None)


class AsyncSeparateCalls:
    """A unary call for each request, for servers without `PredictStream`; each call fails alone."""

    fatal: Final = FATAL
    """Failures of one call that are not its batch's, and so end the stream."""

    def __init__(self, ask: Callable[[pb.PredictRequest], Awaitable[bytes]]) -> None:
        self._ask = ask
        self._sent: deque[asyncio.Task[Answer]] = deque()

    def send(self, request: pb.PredictRequest) -> None:
        """Begin one call; the caller bounds how many."""
        self._sent.append(asyncio.create_task(self._outcome(request), name="genrestack-stream-call"))

    def finish(self) -> None:
        """Do nothing: each call has ended its requests."""

    async def receive(self, timeout: float | None) -> Answer:  # noqa: ASYNC109 - the sync client's signature
        """Wait for the oldest call's answer, or for what it failed with.

        Raises:
            TimeoutError: none came within `timeout` seconds.

        """
        async with asyncio.timeout(timeout):
            # Shielded: a caller that stops waiting may wait for it again.
            answer = await asyncio.shield(self._sent[0])
        self._sent.popleft()
        return answer

    async def complete(self, timeout: float) -> None:  # noqa: ASYNC109 - the sync client's signature
        """Do nothing: a call has ended with its answer."""

    async def close(self) -> None:
        """Cancel the calls whose answers were not taken."""
        await ended(*self._sent)

    async def _outcome(self, request: pb.PredictRequest) -> Answer:
        try:
            return await self._ask(request)
        except GenreStackError as error:
            return error


class BatchSink(Protocol):
    """The stream that a feed brings batches to."""

    window: Window

    async def admit(self, batch: Any) -> None:
        """Add one batch and send it."""

    def finish(self) -> None:
        """Record that it was the last."""


class AsyncBatchFeed:
    """Fetches the batches of a stream, in one task, so that an answer never waits for the batch after it.

    Args:
        batches: the caller's.
        run: where they go.
        in_flight: batches admitted and not yet answered at most.

    """

    def __init__(self, batches: Iterable[Any] | AsyncIterable[Any], run: BatchSink, in_flight: int) -> None:
        self._run = run
        # How many batches may be fetched beyond the one that may always be.
        self._room = asyncio.Semaphore(in_flight - 1)
        self._news = asyncio.Event()
        self._task = spawn(self._fetch(batches), "stream-feed")
        self._task.add_done_callback(lambda _: self._news.set())

    async def has_head(self) -> bool:
        """Wait for a batch to be in flight; False after the last. What `batches` raises is raised here."""
        while True:
            self._news.clear()
            if self._task.done():
                self._task.result()
                return bool(self._run.window)
            if self._run.window:
                return True
            await self._news.wait()

    def note_answer(self) -> None:
        """Make room for another batch."""
        self._room.release()

    async def close(self) -> None:
        """Stop fetching."""
        await ended(self._task)

    async def _fetch(self, batches: Iterable[Any] | AsyncIterable[Any]) -> None:
        if isinstance(batches, AsyncIterable):
            async for batch in batches:
                await self._admit(batch)
        else:
            for batch in batches:
                await self._admit(batch)
        self._run.finish()

    async def _admit(self, batch: Any) -> None:
        """Send one batch and return when there is room for the next."""
        await self._run.admit(batch)
        self._news.set()
        # Batches that are at hand must not keep the loop from everything else.
        await asyncio.sleep(0)
        await self._room.acquire()
