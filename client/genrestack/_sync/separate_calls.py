"""The batches of a stream as calls of their own, for servers whose `PredictStream` is not there."""

import queue
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import grpc

from genrestack._core.base_client import CLOSED_MEANWHILE
from genrestack._core.in_flight import ENDING, Answer
from genrestack.errors import Cancelled, GenreStackError
from genrestack_proto.v1 import prediction_pb2 as pb


class Sent(Protocol):
    """A unary call that was begun: what gRPC calls a future."""

    def result(self, timeout: float | None = None) -> bytes:
        """Wait for the answer."""

    def done(self) -> bool:
        """Tell whether there is no need to."""

    def cancel(self) -> object:
        """End it."""


class SeparateCalls:
    """Sends without waiting, receives in order; as many calls at once as the caller has sent and not received.

    Behaves as `StreamCall` does, but for what fails: each call fails alone.
    """

    ending: Final = ENDING
    """Failures of one call that are not its batch's, and so end the stream."""

    def __init__(
        self, begin: Callable[[pb.PredictRequest], Sent], translate: Callable[[grpc.RpcError], GenreStackError]
    ) -> None:
        self._begin = begin
        self._translate = translate
        self._sent: deque[Sent] = deque()

    def send(self, request: pb.PredictRequest) -> None:
        """Begin one call; the caller bounds how many."""
        self._sent.append(self._begin(request))

    def finish(self) -> None:
        """Hear that no more requests come."""

    def has_answer(self) -> bool:
        """Tell whether `receive` would return at once."""
        return bool(self._sent) and self._sent[0].done()

    def receive(self, timeout: float | None) -> Answer:
        """Wait for the oldest call's answer, or for what it failed with.

        Raises:
            queue.Empty: none came within `timeout` seconds.

        """
        try:
            answer: Answer = self._sent[0].result(timeout)
        except grpc.FutureTimeoutError:
            raise queue.Empty from None
        except grpc.FutureCancelledError:
            answer = Cancelled(CLOSED_MEANWHILE)
        except grpc.RpcError as error:
            answer = self._translate(error)
        self._sent.popleft()
        return answer

    def complete(self, timeout: float) -> None:
        """Do nothing: every answer is there, and with it the end of its call."""

    def close(self) -> None:
        """End the calls whose answers were not taken."""
        for call in self._sent:
            call.cancel()
