"""A stream of batches: in order, bounded, taken up again when the connection breaks, and split where it cannot be."""

import queue
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Protocol

import grpc

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
    def __call__(
        self, rows: Rows, selection: Selection, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction: ...


class Carrier(Protocol):
    """What takes batches to the server and brings the answers: a `StreamCall`, or `SeparateCalls`."""

    @property
    def ending(self) -> tuple[type[GenreStackError], ...]:
        """Failures of one item that end the stream."""

    def send(self, request: pb.PredictRequest) -> None:
        """Send without waiting."""

    def finish(self) -> None:
        """Hear that no more requests come."""

    def has_answer(self) -> bool:
        """Tell whether `receive` would return at once."""

    def receive(self, timeout: float | None) -> Answer:
        """Wait for the next answer."""

    def complete(self, timeout: float) -> None:
        """Come to a good end, now that every answer is there."""

    def close(self) -> None:
        """End whatever is under way."""


class _Carry(Protocol):
    def __call__(self, metadata: Pairs, /) -> Carrier: ...


class StreamRun:
    """One `predict_stream`: the batches under way, and what carries them; `AsyncStreamRun` is the twin.

    Args:
        carry: makes what carries the batches, a stream as long as nobody has said `forgo`.
        forgo: takes note, for this stream and all later ones, that the server has no streams.
        ask: asks for one batch apart.
        translate: names gRPC's errors.
        selection: what is asked, and of which model.
        options: of the client.
        timeout: seconds to wait for one answer.
        in_flight: batches asked and not yet answered at most.

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
        self._in_flight = in_flight
        self._window = Window(selection, options)
        self._call: Carrier | None = None

    def answers(
        self, batches: Iterable[Any], *, keep_errors: bool
    ) -> Generator[Prediction | GenreStackError, None, None]:
        """Yield each batch's answer in its turn; an item's error too if `keep_errors`, else raise it."""
        source = iter(batches)
        try:
            while self._window or not self._window.exhausted:
                if self._wants_more():
                    self._advance(source)
                    continue
                outcome = self._settle_head()
                if isinstance(outcome, GenreStackError) and not keep_errors:
                    raise outcome
                yield outcome
            if self._call is not None:
                self._call.complete(COMPLETION_SECONDS)
        finally:
            if self._call is not None:
                self._call.close()

    def _wants_more(self) -> bool:
        # An answer that is there already is handed out before the next batch is fetched, which may take long.
        if self._window.exhausted or len(self._window) >= self._in_flight:
            return False
        return not (self._window and self._call is not None and self._call.has_answer())

    def _advance(self, source: Iterator[Any]) -> None:
        try:
            batch = next(source)
        except StopIteration:
            self._window.exhausted = True
            if self._call is not None:
                self._call.finish()
            return
        request = self._window.admit(batch)
        if request is not None:
            self._call = self._call or self._carry(self._selection.metadata)
            self._call.send(request)

    def _settle_head(self) -> Prediction | GenreStackError:
        number = self._window.head.number
        answer = self._receive()
        try:
            outcome = self._window.settle(answer)
            if isinstance(outcome, Prediction):
                return outcome
            return self._ask(outcome.rows, self._selection, Deadline(self._timeout), outcome.failed)
        except GenreStackError as error:
            if self._call is not None and isinstance(error, self._call.ending):
                raise
            return in_batch(error, number)

    def _receive(self) -> Answer | None:
        """Wait for the head's answer; None if it was not sent, or turned out too large for a stream."""
        deadline = Deadline(self._timeout)
        attempts = Attempts(self._options.retry, deadline)
        while self._call is not None and self._window.head.request is not None:
            try:
                return self._call.receive(deadline.remaining())
            except queue.Empty:
                deadline.remaining()
            except grpc.RpcError as broken:
                self._resume(self._translate(broken), attempts)
        return None

    def _resume(self, error: GenreStackError, attempts: Attempts) -> None:
        if isinstance(error, Unsupported):
            self._forgo()
        else:
            time.sleep(self._window.delay_after(error, attempts))
        if self._call is not None:
            self._call.close()
        self._call = self._carry(self._selection.metadata)
        for request in self._window.unanswered():
            self._call.send(request)
        if self._window.exhausted:
            self._call.finish()
