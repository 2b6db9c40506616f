"""Who may call what: tokens, and the management calls that are closed unless opened."""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

import grpc

from genrestack_server.call import Call
from genrestack_server.config.server_config import Management
from genrestack_server.errors import PermissionDeniedError, RequestError, UnauthenticatedError
from genrestack_server.security.tokens import Token, Tokens
from genrestack_server.service.status import BY_NUMBER, Context, end_with, to_status
from genrestack_server.telemetry.observer import Observer

OPEN_SERVICE: Final = "/grpc.health.v1.Health/"
"""Health answers without a token: probes have none, and it tells no more than whether the port is ready."""
MANAGEMENT_METHODS: Final = frozenset(
    f"/inference.GRPCInferenceService/{name}"
    for name in ("RepositoryModelLoad", "RepositoryModelUnload", "ModelStatistics")
)
"""What changes or reveals more than an answer; the repository's index is not among them."""
AUTHORIZATION: Final = "authorization"
_SCHEME: Final = "bearer "

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Guard:
    """Decides by method and metadata alone, before a request is read."""

    def __init__(self, management: Management, tokens: Tokens | None) -> None:
        self._management = management
        self._tokens = tokens

    @property
    def needed(self) -> bool:
        """Whether there is anything to refuse."""
        return self._tokens is not None or self._management != "open"

    def check(self, method: str, metadata: Metadata) -> None:
        """Let a call pass, or not.

        Args:
            method: the full name, `/package.Service/Method`.
            metadata: what the caller sent with it.

        Raises:
            UnauthenticatedError: there are tokens, and the caller has none of them.
            PermissionDeniedError: a management call, and they are closed or the token is not marked `admin`.

        """
        if self._tokens is None:
            if method in MANAGEMENT_METHODS and self._management != "open":
                raise _closed(method)
        elif not method.startswith(OPEN_SERVICE):
            token = _authenticated(self._tokens, metadata)
            if method in MANAGEMENT_METHODS:
                self._check_management(method, token)

    def _check_management(self, method: str, token: Token) -> None:
        if self._management != "open":
            raise _closed(method)
        if not token.admin:
            raise PermissionDeniedError(
                f"{_short(method)} is a management call, for which this token is not marked; "
                "use one made with `genrestack token --admin`"
            )


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Puts a `Guard` before every service of a server."""

    def __init__(self, guard: Guard, observers: Observer) -> None:
        self._guard = guard
        self._observers = observers

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """Find the handler, or one that refuses; a method there is not stays gRPC's to refuse."""
        handler = await continuation(handler_call_details)
        if handler is not None:
            method = handler_call_details.method
            try:
                self._guard.check(method, handler_call_details.invocation_metadata)
            except RequestError as error:
                return self._refusal(method, error)
        return handler

    def _refusal(self, method: str, error: RequestError) -> "_Handler":
        async def refuse(_: object, context: Context) -> None:
            status = to_status(error)
            reason = "token" if isinstance(error, UnauthenticatedError) else "management"
            self._observers.rejected(reason)
            self._observers.call_ended(Call(_short(method), ended=time.monotonic(), code=BY_NUMBER[status.code]))
            await end_with(context, status)

        # A stream on both sides waits for no message of the caller's.
        return grpc.stream_stream_rpc_method_handler(refuse)


def _authenticated(tokens: Tokens, metadata: Metadata) -> Token:
    values = [value for key, value in metadata if key == AUTHORIZATION]
    if not values:
        raise UnauthenticatedError("this server asks for a token; send it as metadata 'authorization: Bearer TOKEN'")
    value = values[0]
    if len(values) > 1 or not isinstance(value, str) or not value.lower().startswith(_SCHEME):
        raise UnauthenticatedError("the metadata 'authorization' must be, once, 'Bearer TOKEN'")
    token = tokens.find(value[len(_SCHEME) :].strip())
    if token is None:
        raise UnauthenticatedError("this server does not know the token; it may have been replaced: ask for a new one")
    return token


def _closed(method: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"{_short(method)} is a management call, and they are closed on this server; --management open opens them"
    )


def _short(method: str) -> str:
    return method.rpartition("/")[2]
