"""The Open Inference Protocol by Ray's HTTP proxy: the plain server's paths, in a replica."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import PermissionDenied
from genrestack_server.http.endpoint import Prepare
from genrestack_server.http.routes import make_app
from genrestack_server.ray_app.core import Core
from genrestack_server.security.auth import MANAGEMENT_METHODS, Authorizer, Metadata, method_name
from genrestack_server.service.oip.inference import Inference
from genrestack_server.service.oip.statistics import Statistics


class HttpFront:
    """Answers what comes by HTTP. Belongs to the event loop of its replica."""

    def __init__(self, core: Core, config: ServerConfig, prepare: Prepare | None) -> None:
        """Make the application.

        Args:
            core: what answers.
            config: limits.
            prepare: has a model loaded before its requests are read; None where all of them are.

        """
        inference = Inference(core.engine, Statistics(), config, lambda: bool(core.engine.registry.names()))
        self._app = make_app(inference, core.lifecycle, _WithoutManagement("closed", None), config, prepare)

    def response(self) -> Response:
        """Return what Ray sends: it runs the application on the request that it belongs to."""
        return _Delegated(self._app)


class _Delegated(Response):
    """Answers by an ASGI application; a method of a replica returns a response and cannot send one."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _WithoutManagement(Authorizer):
    """Refuses what one replica would do and the others not."""

    def check(self, method: str, metadata: Metadata) -> None:  # noqa: ARG002 - tokens are not Ray's
        """See `Authorizer.check`."""
        if method in MANAGEMENT_METHODS:
            text = f"{method_name(method)} is a management call, and replicas on Ray Serve take none: "
            raise PermissionDenied(text + "change the repository, which all of them follow")
