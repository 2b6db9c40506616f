"""A stream of batches: answered in order, bounded, resumed when the connection breaks, split where it has to be."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import Any, Protocol

import grpc

from genrestack._async.stream_transport import AsyncBatchFeed, AsyncStreamTransport
from genrestack._core.connection.options import ClientOptions
from genrestack._core.in_flight import COMPLETION_SECONDS, Answer, Window, in_batch
from genrestack._core.inputs.rows import Rows
from genrestack._core.request import ModelSpec, Pairs
from genrestack._core.retry import Attempts, Deadline
from genrestack.errors import GenreStackError, InvalidInput, Unsupported
from genrestack.prediction import Prediction


class _Predict(Protocol):
    async def __call__(
        self, rows: Rows, spec: ModelSpec, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction: ...


class _Select(Protocol):
    async def __call__(self, batch: Any, /) -> Rows | InvalidInput: ...


class _OpenTransport(Protocol):
    def __call__(self, metadata: Pairs, /) -> AsyncStreamTransport: ...


class AsyncStreamRun:
    """One `predict_stream`: the batches in flight, and the transport that carries them.

    Args:
        select: checks a batch and chooses the model's columns; returns what is wrong with it.
        open_transport: opens what carries the batches, a stream until `disable_streaming` is called.
        disable_streaming: takes note, for this stream and all later ones, that the server has no streams.
        predict: asks for one batch by unary calls.
        translate: makes an exception of gRPC's error.
        spec: what is asked, and of which model.
        options: of the client.
        timeout: seconds to wait for one answer.
        in_flight: batches asked and not yet answered at most.
        takes: whether rows may be sent at once, as `Window` takes it.

    """

    def __init__(
        self,
        *,
        select: _Select,
        open_transport: _OpenTransport,
        disable_streaming: Callable[[], None],
        predict: _Predict,
        translate: Callable[[grpc.RpcError], GenreStackError],
        spec: ModelSpec,
        options: ClientOptions,
        timeout: float | None,
        in_flight: int,
        takes: Callable[[Rows, ModelSpec], bool],
    ) -> None:
        self._select = select
        self._open_transport = open_transport
        self._disable_streaming = disable_streaming
        self._predict = predict
        self._translate = translate
        self._spec = spec
        self._options = options
        self._timeout = timeout
        self._in_flight = in_flight
        self.window = Window(spec, options, takes)
        self.transport: AsyncStreamTransport | None = None

    async def answers(
        self, batches: Iterable[Any] | AsyncIterable[Any], *, keep_errors: bool
    ) -> AsyncGenerator[Prediction | GenreStackError, None]:
        """Yield each batch's answer in its turn; an item's error too if `keep_errors`, else raise it."""
        feed = AsyncBatchFeed(batches, self, self._in_flight)
        try:
            while await feed.has_head():
                outcome = await self._settle_head(feed)
                if isinstance(outcome, GenreStackError) and not keep_errors:
                    raise outcome
                yield outcome
            if self.transport is not None:
                await self.transport.complete(COMPLETION_SECONDS)
        finally:
            try:
                await feed.close()
            finally:
                if self.transport is not None:
                    await self.transport.close()

    async def admit(self, batch: Any) -> None:
        """Add the next batch and send it."""
        request = self.window.admit(await self._select(batch))
        if request is not None:
            self.transport = self.transport or self._open_transport(self._spec.metadata)
            self.transport.send(request)

    def finish(self) -> None:
        """Record that no more batches come."""
        self.window.exhausted = True
        if self.transport is not None:
            self.transport.finish()

    async def _settle_head(self, feed: AsyncBatchFeed) -> Prediction | GenreStackError:
        number = self.window.head.number
        answer = await self._receive()
        feed.note_answer()
        try:
            outcome = self.window.settle(answer)
            if isinstance(outcome, Prediction):
                return outcome
            return await self._predict(outcome.rows, self._spec, Deadline(self._timeout), outcome.failed)
        except GenreStackError as error:
            if self.transport is not None and isinstance(error, self.transport.fatal):
                raise
            return in_batch(error, number)

    async def _receive(self) -> Answer | None:
        """Wait for the head's answer; None if it was not sent, or turned out too large for a stream."""
        deadline = Deadline(self._timeout)
        attempts = Attempts(self._options.retry, deadline)
        while self.transport is not None and self.window.head.request is not None:
            left = deadline.remaining()
            try:
                return await self.transport.receive(left)
            except TimeoutError:
                deadline.remaining()
            except grpc.RpcError as broken:
                await self._resume(self._translate(broken), attempts)
        return None

    async def _resume(self, error: GenreStackError, attempts: Attempts) -> None:
        if isinstance(error, Unsupported):
            self._disable_streaming()
        else:
            await asyncio.sleep(self.window.delay_after(error, attempts))
        if self.transport is not None:
            await self.transport.close()
        # From here on nothing is awaited: a batch admitted before is among the unanswered, one after goes into the new.
        self.transport = self._open_transport(self._spec.metadata)
        for request in self.window.unanswered():
            self.transport.send(request)
        if self.window.exhausted:
            self.transport.finish()
