"""The paths of the protocol, and what answers each."""

import logging
import secrets
from functools import partial
from typing import Any, Final

import grpc
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from genrestack_common.text import quoted
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.http.documentation.docs_page import docs_page
from genrestack_server.http.documentation.openapi import OPENAPI
from genrestack_server.http.endpoint import Endpoint, Prepare, Work
from genrestack_server.http.errors import refusal
from genrestack_server.http.exchange import Exchange, Response
from genrestack_server.http.json_text import to_json
from genrestack_server.http.methods import ProtocolMethods
from genrestack_server.security.auth import Authorizer
from genrestack_server.service.lifecycle import Lifecycle
from genrestack_server.service.oip.inference import Inference

_log = logging.getLogger(__name__)

_MODEL: Final = "/v2/models/{model}"
_VERSION: Final = "/v2/models/{model}/versions/{version}"
_VERSIONS: Final = {"1.0", "1.1"}
_NO_SUCH_PATH, _NO_SUCH_METHOD, _NO_SUCH_VERSION = 404, 405, 505


def make_app(
    inference: Inference,
    lifecycle: Lifecycle,
    authorizer: Authorizer,
    config: ServerConfig,
    prepare: Prepare | None = None,
) -> ASGIApp:
    """Return the application that answers every path.

    Args:
        inference: what requests are answered with.
        lifecycle: tells observers of calls.
        authorizer: who may call what.
        config: limits.
        prepare: has a model loaded that is asked for; None where none is loaded on demand.

    """
    methods, admission = ProtocolMethods(inference, config), inference.engine.admission
    endpoint = partial(Endpoint, lifecycle=lifecycle, authorizer=authorizer, admission=admission)

    def get(path: str, method: str, work: Work, **options: Any) -> Route:
        return Route(path, endpoint(method=method, work=work, **options), methods=["GET"])

    def post(path: str, method: str, work: Work, **options: Any) -> Route:
        return Route(path, endpoint(method=method, work=work, **options), methods=["POST"])

    routes = [
        get("/v2/health/live", "ServerLive", methods.live, open_to_all=True),
        get("/v2/health/ready", "ServerReady", methods.ready, open_to_all=True),
        get("/v2", "ServerMetadata", methods.server),
        Route("/v2/openapi.json", _Page(Response(200, [to_json(OPENAPI)])), methods=["GET"]),
        Route("/docs", _Page(docs_page()), methods=["GET"]),
        get("/v2/models/stats", "ModelStatistics", methods.statistics),
        post("/v2/repository/index", "RepositoryIndex", methods.index),
        post("/v2/repository/models/{model}/load", "RepositoryModelLoad", methods.load),
        post("/v2/repository/models/{model}/unload", "RepositoryModelUnload", methods.unload),
    ]
    for path in (_MODEL, _VERSION):
        routes += [
            post(f"{path}/infer", "ModelInfer", methods.infer, admits=True, prepare=prepare),
            get(f"{path}/ready", "ModelReady", methods.model_ready, prepare=prepare),
            get(f"{path}/stats", "ModelStatistics", methods.statistics),
            get(path, "ModelMetadata", methods.model, prepare=prepare),
        ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused, Exception: _failed})
    app.router.redirect_slashes = False
    return _OneVersion(app)


class _OneVersion:
    """Refuses other versions of HTTP than 1."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["http_version"] in _VERSIONS:
            return await self._app(scope, receive, send)
        text = "this version of HTTP is not spoken here; use HTTP/1.1"
        exchange = Exchange(scope, receive, send)
        with exchange.working():
            await exchange.respond(refusal(_NO_SUCH_VERSION, grpc.StatusCode.UNIMPLEMENTED, text), last=True)
        return None


class _Page:
    """Answers with the same, always."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        with exchange.working():
            await exchange.respond(self._response)


class _Refusal(StarletteResponse):
    """A response of ours to what no endpoint takes."""

    def __init__(self, response: Response) -> None:
        super().__init__(status_code=response.status)
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        with exchange.working():
            await exchange.respond(self._response)


def _refused(request: Request, error: Exception) -> StarletteResponse:
    status = error.status_code if isinstance(error, HTTPException) else _NO_SUCH_PATH
    if status == _NO_SUCH_METHOD and isinstance(error, HTTPException):
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        text = f"this path does not take {quoted(request.method)}; use {allowed}"
        return _Refusal(refusal(status, grpc.StatusCode.UNIMPLEMENTED, text, {"allow": allowed}))
    text = f"there is no {quoted(request.scope['path'])} here; /v2/openapi.json lists the paths"
    return _Refusal(refusal(_NO_SUCH_PATH, grpc.StatusCode.NOT_FOUND, text))


def _failed(_: Request, error: Exception) -> StarletteResponse:
    number = secrets.token_hex(4)
    _log.error("internal error %s", number, exc_info=error)
    text = f"internal error {number}; the server's log says more under this id"
    return _Refusal(refusal(500, grpc.StatusCode.INTERNAL, text))
