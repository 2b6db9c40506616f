"""Handlers of gRPC's calls: each becomes a `Call`, and ends with an answer or a status."""

import asyncio
from collections.abc import Awaitable, Callable
from operator import methodcaller
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from genrestack_server.call import Call
from genrestack_server.service.lifecycle import Lifecycle
from genrestack_server.service.status import BY_NUMBER, DETAILS_KEY, to_status

_T = TypeVar("_T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


serialized: Callable[[Message], bytes] = methodcaller("SerializeToString")
"""Returns a message's bytes."""


class RpcHandler:
    """Makes the handlers of one server."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle

    def unary(self, method: str, work: Callable[[Context, Call], Awaitable[Message]]) -> MethodHandler:
        """Return the handler of a unary method.

        Args:
            method: the RPC's own name.
            work: reads the request and makes the answer.

        """

        async def answer(_: object, context: Context) -> Message:
            call = Call(method)
            with self.lifecycle.running(call) as running:
                call.read_context(context)
                return await work(context, call)
            return await end_with(context, running.status)

        # Not `unary_unary`, which reads first: see `request_reader`.
        return grpc.stream_unary_rpc_method_handler(answer, None, serialized)

    async def next_response(self, context: Context, stream: Call, step: Awaitable[_T]) -> _T:
        """Return a stream's next answer, or end the stream with a status."""
        result = await self.lifecycle.step(stream, step)
        if isinstance(result, status_pb2.Status):
            await end_with(context, result)
        return result


async def answered(context: Context, work: Awaitable[_T]) -> _T:
    """Return an answer of which observers are not told, or end its call with a status."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - nothing internal may reach a caller
        await end_with(context, to_status(error))


async def end_with(context: Context, status: status_pb2.Status) -> NoReturn:
    """End a call with a status and its details.

    Raises:
        grpc.aio.AbortError: it has ended.
        asyncio.CancelledError: it had ended before: its caller is gone, or gRPC has refused what it sent.

    """
    details = ((DETAILS_KEY, status.SerializeToString()),)
    try:
        await context.abort(BY_NUMBER[status.code], status.message, details)
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None
