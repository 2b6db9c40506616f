"""The life of a call, whatever transport it came by: it ends with an answer or a status, and observers are told."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
from google.rpc import status_pb2

from genrestack_server.call import Call, CallContext
from genrestack_server.errors import DeadlineExceeded, Draining, QueueFull, RequestError, TooManyCalls
from genrestack_server.service.status import BY_NUMBER, to_status
from genrestack_server.telemetry.observer import Observer

_T = TypeVar("_T")

_REASONS: Final[dict[type[Exception], str]] = {
    TooManyCalls: "concurrency",
    QueueFull: "queue_full",
    DeadlineExceeded: "deadline",
    Draining: "draining",
}
"""Errors with which a request is rejected before any work, and what observers are told of them."""


class Lifecycle:
    """Runs calls and steps of streams; nothing that goes wrong in them gets past it but a cancellation."""

    def __init__(self, observers: Observer) -> None:
        self._observers = observers

    async def run(
        self, call: Call, work: Callable[[Call], Awaitable[_T]], context: CallContext | None = None
    ) -> "_T | status_pb2.Status":
        """Return a call's answer, or the status that says why there is none.

        Args:
            call: the call, which ends here.
            work: makes the answer; it fills in model, version and rows of the call as soon as it knows them.
            context: what the transport knows of the call; None for an item of a stream, which has the stream's.

        Raises:
            asyncio.CancelledError: the caller has left.

        """
        try:
            if context is not None:
                call.read_context(context)
            return await work(call)
        except asyncio.CancelledError:
            late = call.is_late()
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            if call.rows and not call.batch_rows:
                self._observers.rejected("deadline" if late else "cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - the one catch-all: nothing internal may reach a caller
            return self._failed(call, error)
        finally:
            call.ended = time.monotonic()
            self._observers.call_ended(call)

    async def step(self, stream: Call, step: Awaitable[_T]) -> "_T | status_pb2.Status":
        """Return a stream's next answer, or the status that ends it; only then are observers told of the stream."""
        try:
            return await step
        except Exception as error:  # noqa: BLE001 - see above
            status = self._failed(stream, error)
            stream.ended = time.monotonic()
            self._observers.call_ended(stream)
            return status

    def _failed(self, call: Call, error: Exception) -> status_pb2.Status:
        if isinstance(error, RequestError) and type(error) in _REASONS:
            self._observers.rejected(_REASONS[type(error)])
        status = to_status(error, call)
        call.code = BY_NUMBER[status.code]
        return status
