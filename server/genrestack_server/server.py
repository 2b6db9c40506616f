"""The server: binds, loads, serves, drains, stops."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import grpc
from grpc import aio

from genrestack_common.text import counted
from genrestack_server.address import check_address, join_address
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import AddressError, Draining, PortLostError, StartError
from genrestack_server.inference.engine import Engine
from genrestack_server.models.manager import Command
from genrestack_server.models.registry import ServedModel
from genrestack_server.rpc import health, oip_service, prediction_service
from genrestack_server.rpc.auth_interceptor import AuthInterceptor
from genrestack_server.rpc.channel_options import channel_options, max_calls
from genrestack_server.rpc.grpc_port import GrpcPort
from genrestack_server.rpc.health import HealthService
from genrestack_server.rpc.oip_service import InferenceService
from genrestack_server.rpc.prediction_service import PredictionService
from genrestack_server.rpc.reflection import reflection_handler
from genrestack_server.rpc.rpc_handler import RpcHandler
from genrestack_server.security.security import Security
from genrestack_server.service.lifecycle import Lifecycle
from genrestack_server.service.oip.inference import Inference
from genrestack_server.service.oip.statistics import Statistics
from genrestack_server.service.prediction import PredictionHandler
from genrestack_server.telemetry import grpc_log
from genrestack_server.telemetry.observer import Observers
from genrestack_server.telemetry.request_log import RequestLog
from genrestack_server.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from genrestack_server.http.http_port import HttpPort

_log = logging.getLogger(__name__)

# Answers whose handlers have ended still have to leave.
_FLUSH_S: Final = 0.5
# After this long without a rejection, no new caller is arriving.
_QUIET_S: Final = 0.03
_SERVICES: Final = (prediction_service.SERVICE_NAME, oip_service.SERVICE_NAME)


class Server:
    """One server in one event loop: `start`, `wait`, `stop`, or `async with`."""

    def __init__(
        self,
        config: ServerConfig | None = None,
        *,
        shares_port: bool = False,
        accepts: Callable[[bool], None] = lambda _: None,
        broadcast: Command = lambda *_: None,
    ) -> None:
        """Make a server that does nothing yet; call this inside the event loop it will live in.

        Args:
            config: what to serve, and where.
            shares_port: whether it is one of several workers on a port that their supervisor keeps for them.
            accepts: called when the server stops or starts accepting calls, in a moment in which it did the opposite.
            broadcast: called with `load` or `unload` and a model's name once that was done here by request.

        """
        self.config = config or ServerConfig()
        self.shares_port = shares_port
        self.port = 0
        """The port listened on, once `start` has bound it."""
        self.http_port: int | None = None
        """The port of HTTP, if there is one and `start` has bound it."""
        self._statistics = Statistics()
        self.observers = Observers([self._statistics, RequestLog(self.config.log_sample)])
        """Notified of calls, runs and loads; add to them before `start`."""
        self.engine = Engine(
            self.config,
            self.observers,
            max_calls=self.config.max_concurrent_rpcs,
            changed=self._announce,
            broadcast=broadcast,
        )
        """Answers rows; knows which versions are served, what is in flight and how many rows wait."""
        self.engine.batcher.stuck_changed = self._announce_all
        self.telemetry = Telemetry(
            self.config,
            self.observers,
            queue_rows=lambda: self.engine.batcher.waiting_rows,
            in_flight=lambda: self.engine.admission.in_flight,
        )
        """Its metrics and traces."""
        self._health = HealthService(["", *_SERVICES])
        self._lifecycle = Lifecycle(self.observers)
        self._inference = Inference(self.engine, self._statistics, self.config, self.is_ready)
        self._security: Security | None = None
        self._accepts = accepts
        self._grpc: GrpcPort | None = None
        self._http: HttpPort | None = None
        self._lost: PortLostError | None = None
        self._leaving: asyncio.Task[bool] | None = None
        self._stopping = threading.Event()
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Listen, load, verify and warm up every model, then say SERVING.

        Health answers NOT_SERVING from the first moment; a prediction is refused as UNAVAILABLE until its model is
        there. Returns early, serving nothing, if `stop` is called meanwhile.

        Raises:
            AddressError: the host or port cannot be listened on.
            CertificateError: the TLS certificate or key cannot be used.
            TokenFileError: the file of tokens cannot be used.
            RepositoryError: there is nothing to serve, or a model without a good version (unless `allow_empty`).
            StartError: the default model or the execution provider is not there.

        """
        try:
            names = self.engine.manager.find_models()
            security = self._security = Security(self.config)
            for name in names:
                self._health.set(name, serving=False)
            self.telemetry.open(alone=not self.shares_port, ready=self.is_ready)
            if not self.shares_port:
                await self._listen(security)
            await self.engine.manager.start(names)
            self._announce_services()
            # The kernel hands connections to every process that listens: a worker does so once it can answer.
            if self.shares_port:
                await self._listen(security)
            self.engine.manager.watch()
        except Draining:
            return
        except BaseException:
            await self.stop(grace=0)
            raise

    async def wait(self) -> None:
        """Wait until the server has stopped.

        Raises:
            PortLostError: it stopped because gRPC closed its port and it could not be opened again.

        """
        await self._stopped.wait()
        if self._lost is not None:
            raise self._lost

    async def stop(self, grace: float | None = None) -> bool:
        """Report NOT_SERVING, let what is in flight end, stop; a second call with a shorter grace cuts the first short.

        Args:
            grace: seconds for what is in flight; None: as configured.

        Returns:
            whether everything in flight was answered.

        """
        if not self._stopping.is_set() and not self.engine.registry.loading:
            _log.info("stopping: %s in flight", counted(self.engine.admission.in_flight, "call"))
        if not self._stopping.is_set():
            self._stopping.set()
            self._accepts(False)
        self.engine.manager.close()
        if self._security is not None:
            self._security.stop()
        self._health.drain()
        self.engine.admission.close()
        answered = await self.engine.admission.wait_idle(self.config.grace if grace is None else grace)
        if not answered:
            _log.warning("%s cut off: the time to finish is over", counted(self.engine.admission.in_flight, "call"))
        ports = [port for port in (self._grpc, self._http) if port is not None]
        if ports and answered:
            # gRPC cancels what has arrived and not been handed over yet: let those be refused, in words.
            await self.engine.admission.wait_quiet(_QUIET_S, _FLUSH_S)
        await asyncio.gather(*(port.stop(_FLUSH_S if answered else 0) for port in ports))
        self.engine.close()
        await asyncio.to_thread(self.telemetry.close)
        self._stopped.set()
        return answered

    def is_ready(self) -> bool:
        """Return whether the server is served as a whole: what health says of ""."""
        return self._health.is_serving("")

    def reload(self) -> None:
        """Read certificates and tokens again now; what is broken is logged and leaves the old ones in force."""
        if self._security is not None:
            self._security.reload()

    @property
    def address(self) -> str:
        """`host:port` as a client would write it."""
        return join_address(self.config.host, self.port)

    @property
    def http_url(self) -> str | None:
        """Where HTTP is served, if it is."""
        if self.http_port is None:
            return None
        scheme = "http" if self.config.tls_cert is None else "https"
        return f"{scheme}://{join_address(self.config.host, self.http_port)}"

    @property
    def busy(self) -> bool:
        """Whether something is being loaded; after `stop` that ends as soon as it can."""
        return self.engine.manager.busy

    @property
    def stuck(self) -> bool:
        """Whether a run was told to end and does not, so that nothing can be computed; health says NOT_SERVING."""
        return self.engine.batcher.stuck

    @property
    def down(self) -> bool:
        """Whether gRPC has closed the port and it is not open again."""
        return self._grpc is not None and self._grpc.down

    @property
    def models(self) -> list[ServedModel]:
        """The versions that are ready, by name and then version."""
        return self.engine.registry.ready()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _services(self) -> list[grpc.GenericRpcHandler]:
        """Make the services; they outlast a gRPC server that has to be rebuilt.

        Never by the generated functions that add a servicer to a server: they register each method with gRPC's core
        too, which then writes to memory that a serving task frees when it ends.
        """
        engine, rpc = self.engine, RpcHandler(self._lifecycle)
        return [
            PredictionService(PredictionHandler(engine, self.config), engine.admission, rpc, self.config).handlers(),
            InferenceService(self._inference, engine.admission, rpc, self.config).handlers(),
            self._health.handler(),
            reflection_handler([*_SERVICES, health.SERVICE_NAME]),
        ]

    def _bind(self, services: Sequence[grpc.GenericRpcHandler], security: Security) -> aio.Server:
        """Build a gRPC server and give it the port: the one asked for, and from then on the one it got."""
        host, port = self.config.host, self.port or self.config.port
        if not self.shares_port:
            check_address(host, port)
        grpc_log.install()
        server = aio.server(
            handlers=services,
            options=channel_options(self.config, shares_port=self.shares_port),
            interceptors=[AuthInterceptor(security.authorizer, self.observers)] if security.authorizer.needed else [],
            maximum_concurrent_rpcs=max_calls(self.config),
        )
        try:
            self.port = security.add_port(server, join_address(host, port))
        except RuntimeError as error:
            where = join_address(host, port)
            raise AddressError(f"cannot listen on {where}; choose another with --host and --port") from error
        return server

    async def _listen(self, security: Security) -> None:
        self._grpc = GrpcPort(
            partial(self._bind, self._services(), security),
            grace_s=self.config.max_connection_age_grace,
            changed=self._port_changed,
            rebuilt=self.observers.rebuilt,
            lost=self._port_lost,
        )
        await self._grpc.start()
        if self.config.http_port is not None:
            await self._listen_to_http(self.config.http_port, security)
        security.start()

    async def _listen_to_http(self, port: int, security: Security) -> None:
        try:
            from genrestack_server.http.http_port import HttpPort
            from genrestack_server.http.routes import make_app
        except ImportError as error:
            raise StartError('HTTP (--http-port) needs: pip install "genrestack[server,http]"') from error
        app = make_app(self._inference, self._lifecycle, security.authorizer, self.config)
        self._http = HttpPort(app, self.config, security.certificates)
        self.http_port = await self._http.start(port, shares_port=self.shares_port)

    def _port_changed(self, accepting: bool) -> None:  # noqa: FBT001
        if not self._stopping.is_set():
            self._accepts(accepting)
        self._announce_all()

    def _port_lost(self, error: PortLostError) -> None:
        if self._stopping.is_set():
            return
        _log.error("%s", error)
        self._lost = error
        self._leaving = asyncio.create_task(self.stop())

    @property
    def _able(self) -> bool:
        return not (self.stuck or self.down)

    def _announce(self, name: str, version: int) -> None:
        """Set the health of a version, its model and the server."""
        versions = self.engine.registry.versions(name)
        self._health.set(f"{name}/{version}", serving=version in versions and self._able)
        self._health.set(name, serving=bool(versions) and self._able)
        self._announce_services()

    def _announce_all(self) -> None:
        for served in self.engine.registry.ready():
            self._announce(served.name, served.version)

    def _announce_services(self) -> None:
        serving = not self.engine.registry.loading and bool(self.engine.registry.names()) and self._able
        for name in ("", *_SERVICES):
            self._health.set(name, serving=serving)
