"""What carries the batches of a stream: a PredictStream call or unary calls; and the feed that fetches them."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, Final, Protocol

import grpc

from genrestack._core.base_client import CLOSED_MEANWHILE
from genrestack._core.in_flight import FATAL, Answer, AnswerOrder, StreamItem, Window
from genrestack.errors import Cancelled, GenreStackError, ProtocolError
from genrestack_proto.v1 import prediction_pb2 as pb


class StreamTransport(Protocol):
    """Sends the requests of a stream and receives the answers: a `StreamCall`, or `SeparateCalls`."""

    @property
    def fatal(self) -> tuple[type[GenreStackError], ...]:
        """Failures of one item that end the stream."""

    def send(self, request: pb.PredictRequest) -> None:
        """Send without waiting."""

    def finish(self) -> None:
        """Record that no more requests come."""

    def has_answer(self) -> bool:
        """Return whether `receive` would return at once."""

    def receive(self, timeout: float | None) -> Answer:
        """Wait for the next answer."""

    def complete(self, timeout: float) -> None:
        """End well, now that every answer has arrived."""

    def close(self) -> None:
        """Cancel whatever is in flight."""


class StreamingCall(Protocol):
    """What gRPC gives for a stream that was begun."""

    def __iter__(self) -> Iterator[bytes]:
        """Answers as they come."""

    def cancel(self) -> object:
        """End it."""


class UnaryFuture(Protocol):
    """What gRPC gives for a unary call that was begun and not waited for."""

    def result(self, timeout: float | None = None) -> bytes:
        """Wait for the answer."""

    def done(self) -> bool:
        """Return whether there is no need to."""

    def cancel(self) -> object:
        """End it."""


class Start(Protocol):
    """Begins the call with an iterator of requests."""

    def __call__(self, requests: Iterator[pb.PredictRequest], /) -> StreamingCall: ...


class StreamCall:
    """One PredictStream call: sends without waiting, receives in order.

    gRPC pulls requests in a thread of its own and blocks the reader of answers. With a queue at either end the batches
    are fetched in the caller's thread, and closing leaves no thread behind, whatever the caller's iterator does.
    """

    fatal: Final = ()
    """Failures of one item that end the stream: none, it has a status of its own."""

    def __init__(self, start: Start) -> None:
        self._outbox: SimpleQueue[pb.PredictRequest | None] = SimpleQueue()
        self._inbox: SimpleQueue[StreamItem | ProtocolError | grpc.RpcError | None] = SimpleQueue()
        self._order = AnswerOrder()
        self._call = start(iter(self._outbox.get, None))
        self._reader = threading.Thread(target=self._read, name="genrestack-stream", daemon=True)
        self._reader.start()

    def send(self, request: pb.PredictRequest) -> None:
        """Queue one request; the caller bounds how many."""
        self._order.note_sent(request.rows.shape[0])
        self._outbox.put(request)

    def finish(self) -> None:
        """End the requests."""
        self._outbox.put(None)

    def has_answer(self) -> bool:
        """Return whether `receive` would return at once."""
        return not self._inbox.empty()

    def receive(self, timeout: float | None) -> StreamItem:
        """Wait for the next answer.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            grpc.RpcError: the call failed.
            ProtocolError: the server left out an item, or went on after the last.

        """
        try:
            answer = self._inbox.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise self._order.ended()
        return answer

    def complete(self, timeout: float) -> None:
        """Let the server end the call, now that every answer is there, so that it counts as successful.

        Raises:
            ProtocolError: it goes on with answers to nothing.

        """
        self._outbox.put(None)
        self._reader.join(timeout)
        if self.has_answer() and isinstance(left := self._inbox.get(), ProtocolError):
            raise left

    def close(self) -> None:
        """End the call and both threads."""
        self._outbox.put(None)
        self._call.cancel()
        self._reader.join()

    def _read(self) -> None:
        try:
            for data in self._call:
                self._inbox.put(self._order.arrived(data))
        except grpc.RpcError as error:
            self._inbox.put(error)
        except ProtocolError as error:
            self._inbox.put(error)
            self._call.cancel()
        else:
            self._inbox.put(None)


class SeparateCalls:
    """A unary call for each request, for servers without `PredictStream`; each call fails alone."""

    fatal: Final = FATAL
    """Failures of one call that are not its batch's, and so end the stream."""

    def __init__(
        self, begin: Callable[[pb.PredictRequest], UnaryFuture], translate: Callable[[grpc.RpcError], GenreStackError]
    ) -> None:
        self._begin = begin
        self._translate = translate
        self._sent: deque[UnaryFuture] = deque()

    def send(self, request: pb.PredictRequest) -> None:
        """Begin one call; the caller bounds how many."""
        self._sent.append(self._begin(request))

    def finish(self) -> None:
        """Do nothing: each call has ended its requests."""

    def has_answer(self) -> bool:
        """Return whether `receive` would return at once."""
        return bool(self._sent) and self._sent[0].done()

    def receive(self, timeout: float | None) -> Answer:
        """Wait for the oldest call's answer, or for what it failed with.

        Raises:
            TimeoutError: none came within `timeout` seconds.

        """
        try:
            answer: Answer = self._sent[0].result(timeout)
        except grpc.FutureTimeoutError:
            raise TimeoutError from None
        except grpc.FutureCancelledError:
            answer = Cancelled(CLOSED_MEANWHILE)
        except grpc.RpcError as error:
            answer = self._translate(error)
        self._sent.popleft()
        return answer

    def complete(self, timeout: float) -> None:
        """Do nothing: a call has ended with its answer."""

    def close(self) -> None:
        """Cancel the calls whose answers were not taken."""
        for call in self._sent:
            call.cancel()


class BatchSink(Protocol):
    """The stream that a feed brings batches to."""

    window: Window
    transport: StreamTransport | None

    def admit(self, batch: Any) -> None:
        """Add one batch and send it."""

    def finish(self) -> None:
        """Record that it was the last."""


class BatchFeed:
    """Fetches the batches of a stream, in the caller's own thread, while that waits for nothing else.

    Args:
        batches: the caller's.
        run: where they go.
        in_flight: batches admitted and not yet answered at most.

    """

    def __init__(self, batches: Iterable[Any], run: BatchSink, in_flight: int) -> None:
        self._source = iter(batches)
        self._run = run
        self._in_flight = in_flight

    def has_head(self) -> bool:
        """Fetch batches while there is room; False after the last is answered. What `batches` raises is raised here."""
        while self._wants_more():
            try:
                batch = next(self._source)
            except StopIteration:
                self._run.finish()
            else:
                self._run.admit(batch)
        return bool(self._run.window)

    def note_answer(self) -> None:
        """Do nothing: `has_head` counts what is in flight."""

    def close(self) -> None:
        """Do nothing: nobody fetches meanwhile."""

    def _wants_more(self) -> bool:
        # An answer that is there already is handed out before the next batch is fetched, which may take long.
        window, transport = self._run.window, self._run.transport
        if window.exhausted or len(window) >= self._in_flight:
            return False
        return not (window and transport is not None and transport.has_answer())
