"""One PredictStream call, with its ends made into queues."""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Final, Protocol

import grpc

from genrestack._core.in_flight import AnswerOrder, StreamItem
from genrestack.errors import ProtocolError
from genrestack_proto.v1 import prediction_pb2 as pb


class StreamingCall(Protocol):
    """What gRPC gives for a stream that was begun."""

    def __iter__(self) -> Iterator[bytes]:
        """Answers as they come."""

    def cancel(self) -> object:
        """End it."""


class Start(Protocol):
    """Begins the call with an iterator of requests."""

    def __call__(self, requests: Iterator[pb.PredictRequest], /) -> StreamingCall: ...


class StreamCall:
    """Sends without waiting, receives in order.

    gRPC pulls requests in a thread of its own and blocks whoever reads answers. With a queue at either end the batches
    are fetched in the caller's thread, and closing leaves no thread behind, whatever the caller's iterator does.
    """

    ending: Final = ()
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
        """Say that no more requests come."""
        self._outbox.put(None)

    def has_answer(self) -> bool:
        """Tell whether `receive` would return at once."""
        return not self._inbox.empty()

    def receive(self, timeout: float | None) -> StreamItem:
        """Wait for the next answer.

        Raises:
            queue.Empty: none came within `timeout` seconds.
            grpc.RpcError: the call failed.
            ProtocolError: the server left out an item, or went on after the last.

        """
        answer = self._inbox.get(timeout=timeout)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise self._order.ended()
        return answer

    def complete(self, timeout: float) -> None:
        """Let the server end the call, now that every answer is there, so that it counts as one that went well.

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
