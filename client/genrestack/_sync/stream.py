# Generated from genrestack/_async/stream.py by `python tools/unasync.py`; do not edit.
"""A stream of batches: answered in order, bounded, resumed when the connection breaks, split where it has to be."""

import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol

import grpc

from genrestack._core.connection.options import ClientOptions
from genrestack._core.in_flight import COMPLETION_SECONDS, Answer, Window, in_batch
from genrestack._core.inputs.rows import Rows
from genrestack._core.request import ModelSpec, Pairs
from genrestack._core.retry import Attempts, Deadline
from genrestack._sync.stream_transport import BatchFeed, StreamTransport
from genrestack.errors import GenreStackError, InvalidInput, Unsupported
from genrestack.prediction import Prediction


class _Predict(Protocol):
    def __call__(
        self, rows: Rows, spec: ModelSpec, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction: ...


class _Select(Protocol):
    def __call__(self, batch: Any, /) -> Rows | InvalidInput: ...


class _OpenTransport(Protocol):
    def __call__(self, metadata: Pairs, /) -> StreamTransport: ...


class StreamRun:
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
        self.transport: StreamTransport | None = None

    def answers(
        self, batches: Iterable[Any], *, keep_errors: bool
    ) -> Generator[Prediction | GenreStackError, None, None]:
        """Yield each batch's answer in its turn; an item's error too if `keep_errors`, else raise it."""
        feed = BatchFeed(batches, self, self._in_flight)
        try:
            while feed.has_head():
                outcome = self._settle_head(feed)
                if isinstance(outcome, GenreStackError) and not keep_errors:
                    raise outcome
                yield outcome
            if self.transport is not None:
                self.transport.complete(COMPLETION_SECONDS)
        finally:
            try:
                feed.close()
            finally:
                if self.transport is not None:
                    self.transport.close()

    def admit(self, batch: Any) -> None:
        """Add the next batch and send it."""
        request = self.window.admit(self._select(batch))
        if request is not None:
            self.transport = self.transport or self._open_transport(self._spec.metadata)
            self.transport.send(request)

    def finish(self) -> None:
        """Record that no more batches come."""
        self.window.exhausted = True
        if self.transport is not None:
            self.transport.finish()

    def _settle_head(self, feed: BatchFeed) -> Prediction | GenreStackError:
        number = self.window.head.number
        answer = self._receive()
        feed.note_answer()
        try:
            outcome = self.window.settle(answer)
            if isinstance(outcome, Prediction):
                return outcome
            return self._predict(outcome.rows, self._spec, Deadline(self._timeout), outcome.failed)
        except GenreStackError as error:
            if self.transport is not None and isinstance(error, self.transport.fatal):
                raise
            return in_batch(error, number)

    def _receive(self) -> Answer | None:
        """Wait for the head's answer; None if it was not sent, or turned out too large for a stream."""
        deadline = Deadline(self._timeout)
        attempts = Attempts(self._options.retry, deadline)
        while self.transport is not None and self.window.head.request is not None:
            left = deadline.remaining()
            try:
                return self.transport.receive(left)
            except TimeoutError:
                deadline.remaining()
            except grpc.RpcError as broken:
                self._resume(self._translate(broken), attempts)
        return None

    def _resume(self, error: GenreStackError, attempts: Attempts) -> None:
        if isinstance(error, Unsupported):
            self._disable_streaming()
        else:
            time.sleep(self.window.delay_after(error, attempts))
        if self.transport is not None:
            self.transport.close()
        self.transport = self._open_transport(self._spec.metadata)
        for request in self.window.unanswered():
            self.transport.send(request)
        if self.window.exhausted:
            self.transport.finish()
