"""Endpoints: each request becomes a `Call`, and ends with an answer or a status."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.http.errors import ForeignPage, UnsupportedEncoding, failure
from genrestack_server.http.exchange import Exchange, Response
from genrestack_server.inference.admission import AdmissionControl
from genrestack_server.security.auth import Authorizer
from genrestack_server.service.lifecycle import Lifecycle

Work = Callable[[Exchange, Call], Awaitable[Response]]
Prepare = Callable[[str], Awaitable[None]]
"""Has a model loaded, given its name."""
_SERVICE: Final = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Answers one method of the protocol, as an ASGI application."""

    method: str
    """The RPC of the same meaning, by whose name it is authorized, counted and logged."""
    work: Work
    """Reads the request and makes the answer."""
    lifecycle: Lifecycle
    authorizer: Authorizer
    admission: AdmissionControl
    open_to_all: bool = False
    """Whether no token is asked for."""
    admits: bool = False
    """Whether it counts as in flight until its answer is taken."""
    prepare: Prepare | None = None
    """Called with the model of the path, before the work."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        exchange = Exchange(scope, receive, send)
        with exchange.working(), ExitStack() as held:
            response = await self._response(exchange, held)
            await exchange.respond(response, last=self.admission.closed)

    async def _response(self, exchange: Exchange, held: ExitStack) -> Response:
        call, unsupported = Call(self.method), False
        with self.lifecycle.running(call) as running:
            call.read_context(exchange)
            self._check(exchange)
            if self.admits:
                held.enter_context(self.admission.admit())
            if self.prepare is not None:
                await self.prepare(exchange.parameters["model"])
            try:
                return await self.work(exchange, call)
            except UnsupportedEncoding:
                unsupported = True
                raise
        return failure(running.status, call, unsupported)

    def _check(self, exchange: Exchange) -> None:
        """Refuse a caller without a token, before the body is read, and pages of other sites.

        Raises:
            Unauthenticated: as `Authorizer.check`.
            PermissionDenied: as `Authorizer.check`.
            ForeignPage: a browser says that another site's page asks.

        """
        if not self.open_to_all:
            self.authorizer.check(f"/{_SERVICE}/{self.method}", exchange.invocation_metadata())
        origin = exchange.header(b"origin")
        if origin is not None and origin.partition("://")[2] != exchange.header(b"host"):
            raise ForeignPage("pages of other sites may not ask this server; ask from a program, or through a proxy")
