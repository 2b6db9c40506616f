"""Where calls arrive and end: each becomes a `Call`, ends with a status, and observers are told, whatever happens."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
from google.rpc import status_pb2

from genrestack_server.call import Call, fill
from genrestack_server.errors import DeadlinePassedError, DrainingError, QueueFullError, RequestError, TooManyCallsError
from genrestack_server.service.status import BY_NUMBER, Context, end_with, outcome
from genrestack_server.telemetry.observer import Observer

_T = TypeVar("_T")

_REASONS: Final[dict[type[RequestError], str]] = {
    TooManyCallsError: "concurrency",
    QueueFullError: "queue_full",
    DeadlinePassedError: "deadline",
    DrainingError: "draining",
}
"""Errors with which a request is refused before any work, and what observers are told of them."""


class Reception:
    """Receives the calls of one front end."""

    def __init__(self, observers: Observer) -> None:
        self._observers = observers

    async def answered(self, context: Context, method: str, work: Callable[[Call], Awaitable[_T]]) -> _T:
        """Do the work of a unary call, or end the call with the status that says why there is no answer.

        Args:
            context: gRPC's.
            method: the RPC's own name.
            work: makes the answer; it fills in model, version and rows of the `Call` as soon as it knows them.

        """
        call = Call(method)
        result = await self.outcome(call, _begun(call, context, work))
        if isinstance(result, status_pb2.Status):
            await end_with(context, result)
        return result

    async def outcome(self, call: Call, work: Awaitable[_T]) -> "_T | status_pb2.Status":
        """Do the work of a call whose answer or status the caller of this writes: an item of a stream."""
        try:
            result = await outcome(self._counted(call, work), call)
            if isinstance(result, status_pb2.Status):
                call.code = BY_NUMBER[result.code]
            return result
        except asyncio.CancelledError:
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if _late(call) else grpc.StatusCode.CANCELLED
            raise
        finally:
            call.ended = time.monotonic()
            self._observers.call_ended(call)

    async def carried_on(self, context: Context, stream: Call, step: Awaitable[_T]) -> _T:
        """Await a stream's next answer, or end the stream with a status; only then is the stream itself told of."""
        result = await outcome(self._counted(stream, step), stream)
        if isinstance(result, status_pb2.Status):
            stream.code, stream.ended = BY_NUMBER[result.code], time.monotonic()
            self._observers.call_ended(stream)
            await end_with(context, result)
        return result

    async def _counted(self, call: Call, work: Awaitable[_T]) -> _T:
        """Tell observers of what is refused before any work."""
        try:
            return await work
        except RequestError as error:
            reason = _REASONS.get(type(error))
            if reason is not None:
                self._observers.rejected(reason)
            raise
        except asyncio.CancelledError:
            if call.rows and not call.batch_rows:
                self._observers.rejected("deadline" if _late(call) else "cancelled")
            raise


async def _begun(call: Call, context: Context, work: Callable[[Call], Awaitable[_T]]) -> _T:
    fill(call, context)
    return await work(call)


def _late(call: Call) -> bool:
    return call.deadline is not None and time.monotonic() >= call.deadline
