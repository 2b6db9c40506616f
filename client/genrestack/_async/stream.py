"""A stream of batches for asyncio: in order, bounded, taken up again or split as its twin's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import Any, Protocol

import grpc

from genrestack._async.tasks import ended, spawn
from genrestack._core.converters import Selection
from genrestack._core.in_flight import COMPLETION_SECONDS, Answer, Window, in_batch
from genrestack._core.metadata import Pairs
from genrestack._core.options import ClientOptions
from genrestack._core.retry import Attempts, Deadline
from genrestack._core.rows import Rows
from genrestack.errors import GenreStackError, Unsupported
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb


class _Ask(Protocol):
    async def __call__(
        self, rows: Rows, selection: Selection, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction: ...


class AsyncCarrier(Protocol):
    """What takes batches to the server and brings the answers: an `AsyncStreamCall`, or `AsyncSeparateCalls`."""

    @property
    def ending(self) -> tuple[type[GenreStackError], ...]:
        """Failures of one item that end the stream."""

    def send(self, request: pb.PredictRequest) -> None:
        """Send without waiting."""

    def finish(self) -> None:
        """Hear that no more requests come."""

    async def receive(self, timeout: float | None) -> Answer:  # noqa: ASYNC109 - the twin's signature
        """Wait for the next answer."""

    async def complete(self, timeout: float) -> None:  # noqa: ASYNC109 - the twin's signature
        """Come to a good end, now that every answer is there."""

    async def close(self) -> None:
        """End whatever is under way."""


class _Carry(Protocol):
    def __call__(self, metadata: Pairs, /) -> AsyncCarrier: ...


class AsyncStreamRun:
    """One `predict_stream`: the batches under way, and what carries them; the twin of `StreamRun`.

    The batches are fetched in one task of their own, so that an answer never waits for the batch after it.
    """

    def __init__(
        self,
        *,
        carry: _Carry,
        forgo: Callable[[], None],
        ask: _Ask,
        translate: Callable[[grpc.RpcError], GenreStackError],
        selection: Selection,
        options: ClientOptions,
        timeout: float | None,
        in_flight: int,
    ) -> None:
        self._carry = carry
        self._forgo = forgo
        self._ask = ask
        self._translate = translate
        self._selection = selection
        self._options = options
        self._timeout = timeout
        self._window = Window(selection, options)
        self._call: AsyncCarrier | None = None
        # How many batches may be fetched beyond the one that may always be.
        self._room = asyncio.Semaphore(in_flight - 1)
        self._news = asyncio.Event()

    async def answers(
        self, batches: Iterable[Any] | AsyncIterable[Any], *, keep_errors: bool
    ) -> AsyncGenerator[Prediction | GenreStackError, None]:
        """Yield each batch's answer in its turn; an item's error too if `keep_errors`, else raise it."""
        feeder = spawn(self._feed(batches), "stream-feed")
        feeder.add_done_callback(lambda _: self._news.set())
        try:
            while await self._is_more(feeder):
                outcome = await self._settle_head()
                if isinstance(outcome, GenreStackError) and not keep_errors:
                    raise outcome
                yield outcome
            if self._call is not None:
                await self._call.complete(COMPLETION_SECONDS)
        finally:
            try:
                await ended(feeder)
            finally:
                if self._call is not None:
                    await self._call.close()

    async def _is_more(self, feeder: asyncio.Task[None]) -> bool:
        """Wait for a batch to be under way; False after the last. What `batches` raises is raised here."""
        while True:
            self._news.clear()
            if feeder.done():
                feeder.result()
                return bool(self._window)
            if self._window:
                return True
            await self._news.wait()

    async def _feed(self, batches: Iterable[Any] | AsyncIterable[Any]) -> None:
        if isinstance(batches, AsyncIterable):
            async for batch in batches:
                await self._admit(batch)
        else:
            for batch in batches:
                await self._admit(batch)
        self._window.exhausted = True
        if self._call is not None:
            self._call.finish()

    async def _admit(self, batch: Any) -> None:
        """Send one batch and return when there is room for the next."""
        request = self._window.admit(batch)
        if request is not None:
            self._call = self._call or self._carry(self._selection.metadata)
            self._call.send(request)
        self._news.set()
        # Batches that are at hand must not keep the loop from everything else.
        await asyncio.sleep(0)
        await self._room.acquire()

    async def _settle_head(self) -> Prediction | GenreStackError:
        number = self._window.head.number
        answer = await self._receive()
        self._room.release()
        try:
            outcome = self._window.settle(answer)
            if isinstance(outcome, Prediction):
                return outcome
            return await self._ask(outcome.rows, self._selection, Deadline(self._timeout), outcome.failed)
        except GenreStackError as error:
            if self._call is not None and isinstance(error, self._call.ending):
                raise
            return in_batch(error, number)

    async def _receive(self) -> Answer | None:
        """Wait for the head's answer; None if it was not sent, or turned out too large for a stream."""
        deadline = Deadline(self._timeout)
        attempts = Attempts(self._options.retry, deadline)
        while self._call is not None and self._window.head.request is not None:
            left = deadline.remaining()
            try:
                return await self._call.receive(left)
            except TimeoutError:
                deadline.remaining()
            except grpc.RpcError as broken:
                await self._resume(self._translate(broken), attempts)
        return None

    async def _resume(self, error: GenreStackError, attempts: Attempts) -> None:
        if isinstance(error, Unsupported):
            self._forgo()
        else:
            await asyncio.sleep(self._window.delay_after(error, attempts))
        if self._call is not None:
            await self._call.close()
        # From here on nothing is awaited: a batch admitted before is among the unanswered, one after goes into the new.
        self._call = self._carry(self._selection.metadata)
        for request in self._window.unanswered():
            self._call.send(request)
        if self._window.exhausted:
            self._call.finish()
