"""The life of a call, whatever transport it came by: it ends with an answer or a status, and observers are notified."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc
from google.rpc import status_pb2

from genrestack_server.call import Call, CallContext
from genrestack_server.errors import (
    DeadlineExceeded,
    Draining,
    PermissionDenied,
    QueueFull,
    RequestError,
    TooManyCalls,
    Unauthenticated,
)
from genrestack_server.service.status import BY_NUMBER, to_status
from genrestack_server.telemetry.observer import Observer

_T = TypeVar("_T")

_REASONS: Final[dict[type[BaseException], str]] = {
    TooManyCalls: "concurrency",
    QueueFull: "queue_full",
    DeadlineExceeded: "deadline",
    Draining: "draining",
    Unauthenticated: "token",
    PermissionDenied: "management",
}
"""Errors with which a request is rejected before any work, and what observers receive."""


class Lifecycle:
    """Runs calls and steps of streams; nothing that goes wrong in them gets past it but a cancellation."""

    def __init__(self, observers: Observer) -> None:
        self._observers = observers

    def running(self, call: Call) -> "RunningCall":
        """Return a block in which a call is answered, and at whose end it has ended."""
        return RunningCall(call, self._observers)

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
        with self.running(call) as running:
            if context is not None:
                call.read_context(context)
            return await work(call)
        return running.status

    async def step(self, stream: Call, step: Awaitable[_T]) -> "_T | status_pb2.Status":
        """Return a stream's next answer, or the status that ends it; only then are observers told of the stream."""
        try:
            return await step
        except Exception as error:  # noqa: BLE001 - the one catch-all: nothing internal may reach a caller
            status = _failed(stream, error, self._observers)
            stream.ended = time.monotonic()
            self._observers.call_ended(stream)
            return status


class RunningCall:
    """A call while it is answered: what is raised becomes its status; a cancellation goes on its way."""

    __slots__ = ("_call", "_observers", "status")

    status: status_pb2.Status
    """Why there is no answer; set only once something was raised."""

    def __init__(self, call: Call, observers: Observer) -> None:
        self._call = call
        self._observers = observers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        call = self._call
        if isinstance(error, asyncio.CancelledError):
            late = call.is_late()
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            if call.rows and not call.batch_rows:
                self._observers.rejected("deadline" if late else "cancelled")
        elif isinstance(error, Exception):
            self.status = _failed(call, error, self._observers)
        call.ended = time.monotonic()
        self._observers.call_ended(call)
        return isinstance(error, Exception) and not isinstance(error, asyncio.CancelledError)


def _failed(call: Call, error: Exception, observers: Observer) -> status_pb2.Status:
    if isinstance(error, RequestError) and type(error) in _REASONS:
        observers.rejected(_REASONS[type(error)])
    status = to_status(error, call)
    call.code = BY_NUMBER[status.code]
    return status
