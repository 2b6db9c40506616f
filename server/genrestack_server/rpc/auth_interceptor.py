"""Authorization before every call: a caller without permission is refused before the request is read."""

import time
from collections.abc import Awaitable, Callable

import grpc

from genrestack_server.call import Call
from genrestack_server.errors import RequestError, Unauthenticated
from genrestack_server.rpc.rpc_handler import Context, MethodHandler, end_with
from genrestack_server.security.auth import Authorizer, method_name
from genrestack_server.service.status import BY_NUMBER, to_status
from genrestack_server.telemetry.observer import Observer


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """Puts an `Authorizer` before every service of a server."""

    def __init__(self, authorizer: Authorizer, observers: Observer) -> None:
        self._authorizer = authorizer
        self._observers = observers

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "MethodHandler | None":
        """Find the handler, or one that refuses; a method there is not stays gRPC's to refuse."""
        handler = await continuation(handler_call_details)
        if handler is not None:
            method = handler_call_details.method
            try:
                self._authorizer.check(method, handler_call_details.invocation_metadata)
            except RequestError as error:
                return self._refusal(method, error)
        return handler

    def _refusal(self, method: str, error: RequestError) -> MethodHandler:
        async def refuse(_: object, context: Context) -> None:
            status = to_status(error)
            reason = "token" if isinstance(error, Unauthenticated) else "management"
            self._observers.rejected(reason)
            self._observers.call_ended(Call(method_name(method), ended=time.monotonic(), code=BY_NUMBER[status.code]))
            await end_with(context, status)

        # A stream on both sides waits for no message of the caller's.
        return grpc.stream_stream_rpc_method_handler(refuse)
