"""`grpc.health.v1`: Check and Watch over a table of names; the one service that everybody may ask."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from genrestack_server.errors import NotFound
from genrestack_server.inference.admission import WaitingCalls
from genrestack_server.rpc.request_reader import PUBLIC_BYTES, RequestReader
from genrestack_server.rpc.rpc_handler import Context, answered
from genrestack_server.service.messages import parse_request

SERVICE_NAME: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
"""Of itself this service says SERVING as long as it answers, whatever is served: so one asks whether a server lives."""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
# Beyond them the one that has heard nothing new for longest makes room.
_MAX_WATCHERS: Final = 500

_Response = health_pb2.HealthCheckResponse


class HealthService:
    """The health of server and models; no model is SERVING until it is set so, and none after `drain`.

    Written here because the packaged servicer starts out SERVING, forgets the other watchers of a name when one of
    them leaves, and never ends a Watch, which would hold up a server that stops.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._status: dict[str, int] = dict.fromkeys(names, NOT_SERVING)
        self._changed = asyncio.Event()
        self._reader = RequestReader.small(PUBLIC_BYTES)
        self._watchers = WaitingCalls(_MAX_WATCHERS)
        self.draining = False
        """Whether the server is stopping."""

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what answers the service's methods."""
        # Not by the package's function: gRPC would read and unpack requests of any size, and log those that are none.
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Check": grpc.stream_unary_rpc_method_handler(self._check, None, _Response.SerializeToString),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch, None, _Response.SerializeToString),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)

    def set(self, name: str, *, serving: bool) -> None:
        """Set whether a name is served; ignored once the server drains."""
        if not self.draining:
            self._status[name] = SERVING if serving else NOT_SERVING
            self._announce()

    def is_serving(self, name: str) -> bool:
        """Return whether a name is served."""
        return bool(self._status.get(name) == SERVING)

    def drain(self) -> None:
        """Set everything to NOT_SERVING from now on, and end every Watch that has heard it."""
        self.draining = True
        self._status = dict.fromkeys(self._status, NOT_SERVING)
        self._announce()

    async def _check(self, _: object, context: Context) -> Any:
        """Answer once."""
        return await answered(context, self._status_now(context))

    async def _status_now(self, context: Context) -> Any:
        status = self._of(await self._name(context))
        if status is None:
            raise NotFound("nothing of this name is served here")
        return _Response(status=status)

    async def _watch(self, _: object, context: Context) -> AsyncGenerator[Any, None]:
        """Answer now and at every change."""
        async with aclosing(self._statuses(context)) as statuses:
            while (status := await answered(context, anext(statuses, None))) is not None:
                yield _Response(status=status)

    async def _statuses(self, context: Context) -> AsyncGenerator[int, None]:
        name, said = await self._name(context), None
        while True:
            changed, status = self._changed, self._of(name)
            status = _UNKNOWN if status is None else status
            if status != said:
                yield status
                said = status
            elif self.draining:
                return
            else:
                with self._watchers.waiting():
                    await changed.wait()

    async def _name(self, context: Context) -> str:
        request = parse_request(health_pb2.HealthCheckRequest, await self._reader.read(context))
        return str(request.service)

    def _of(self, name: str) -> int | None:
        return SERVING if name == SERVICE_NAME else self._status.get(name)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
