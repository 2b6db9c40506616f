"""`grpc.health.v1`: Check and Watch over a table of names."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE_NAME: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
"""Of itself this service says SERVING as long as it answers, whatever is served: so one asks whether a server lives."""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the package comes without types
    """What this server says of itself; no model is SERVING until somebody says so, and none after `drain`.

    Written here because the packaged servicer starts out SERVING, forgets the other watchers of a name when one of
    them leaves, and never ends a Watch, which would hold up a server that stops.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._status: dict[str, int] = dict.fromkeys(names, NOT_SERVING)
        self._changed = asyncio.Event()
        self.draining = False
        """Whether the server is stopping."""

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer the service's methods on this server."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    def set(self, name: str, *, serving: bool) -> None:
        """Say whether a name is served; ignored once the server drains."""
        if not self.draining:
            self._status[name] = SERVING if serving else NOT_SERVING
            self._announce()

    def is_serving(self, name: str) -> bool:
        """Tell whether a name is served."""
        return bool(self._status.get(name) == SERVING)

    def drain(self) -> None:
        """Say NOT_SERVING of everything from now on, and end every Watch that has heard it."""
        self.draining = True
        self._status = dict.fromkeys(self._status, NOT_SERVING)
        self._announce()

    async def Check(self, request: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> Any:  # noqa: N802 - gRPC's
        """Answer once."""
        status = self._of(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nothing of this name is served here")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ARG002, N802 - gRPC's signature
        """Answer now and at every change."""
        said: int | None = None
        while True:
            changed, status = self._changed, self._of(request.service)
            status = _UNKNOWN if status is None else status
            if status != said:
                yield health_pb2.HealthCheckResponse(status=status)
                said = status
            elif self.draining:
                return
            else:
                await changed.wait()

    def _of(self, name: str) -> int | None:
        return SERVING if name == SERVICE_NAME else self._status.get(name)

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
