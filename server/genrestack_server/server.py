"""The server: binds, loads, serves, drains, stops."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

import grpc
from grpc import aio

from genrestack_common.text import counted, listed
from genrestack_server.address import check_address, join_address
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import AddressError, DrainingError, PortLostError, RepositoryError, StartError
from genrestack_server.inference.admission import Gate
from genrestack_server.inference.batcher import Batcher
from genrestack_server.inference.engine import Predictor
from genrestack_server.inference.executor import Executor
from genrestack_server.models.manager import Keeper
from genrestack_server.models.registry import Registry, ServedModel
from genrestack_server.models.repository import find_models
from genrestack_server.rpc import health, prediction_service
from genrestack_server.rpc import oip_service as oip
from genrestack_server.rpc.channel_options import channel_options, max_calls
from genrestack_server.rpc.grpc_port import GrpcPort
from genrestack_server.rpc.health import Health
from genrestack_server.rpc.oip_service import InferenceService
from genrestack_server.rpc.prediction_service import NativeService
from genrestack_server.rpc.reflection import reflection_handler
from genrestack_server.security.security import Security
from genrestack_server.service.lifecycle import Reception
from genrestack_server.service.oip.statistics import Statistics
from genrestack_server.telemetry import grpc_log
from genrestack_server.telemetry.observer import Observers
from genrestack_server.telemetry.request_log import RequestLog
from genrestack_server.telemetry.telemetry import Observation

_log = logging.getLogger(__name__)

# Answers whose handlers have ended still have to leave.
_FLUSH_S: Final = 0.5
# So long without a refusal, and nobody is just coming in.
_QUIET_S: Final = 0.03
_SERVICES: Final = (prediction_service.SERVICE_NAME, oip.SERVICE_NAME)


class Server:
    """One server in one event loop: `start`, `wait`, `stop`, or `async with`."""

    def __init__(
        self,
        config: ServerConfig | None = None,
        *,
        shares_port: bool = False,
        accepts: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Make a server that does nothing yet; call this inside the event loop it will live in.

        Args:
            config: what to serve, and where.
            shares_port: whether it is one of several workers on a port that their supervisor keeps for them.
            accepts: called when the server stops or starts accepting calls, in a moment in which it did the opposite.

        """
        self.config = config or ServerConfig()
        self.shares_port = shares_port
        self.port = 0
        """The port listened on, once `start` has bound it."""
        self.registry = Registry(self.config.default_model)
        self.gate = Gate(self.config.max_concurrent_rpcs)
        """What is in flight."""
        self._statistics = Statistics()
        self.observers = Observers([self._statistics, RequestLog(self.config.log_sample)])
        """Who is told of calls, executions and loads; add to them before `start`."""
        self._keeper = Keeper(self.config, self.registry, self.observers, self._announce)
        self._batcher = Batcher(Executor(), self.observers, self.config)
        self._batcher.stuck_changed = self._announce_all
        self.predictor = Predictor(self.registry, self._batcher, self.gate)
        """Answers rows; knows how many wait."""
        self.observation = Observation(
            self.config,
            self.observers,
            queue_rows=lambda: self.predictor.queue_rows,
            in_flight=lambda: self.gate.in_flight,
        )
        """Its metrics and traces."""
        self._health = Health(["", *_SERVICES])
        self._security: Security | None = None
        self._accepts = accepts
        self._grpc: GrpcPort | None = None
        self._lost: PortLostError | None = None
        self._leaving: asyncio.Task[bool] | None = None
        self._stopping = threading.Event()
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Listen, load, prove and warm up every model, then say SERVING.

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
            names = self._find_models()
            security = self._security = Security(self.config)
            for name in names:
                self._health.set(name, serving=False)
            self.observation.open(alone=not self.shares_port)
            if not self.shares_port:
                await self._listen(security)
            await self._keeper.start(names)
            self.registry.loading = False
            self.registry.management = self._keeper
            self._announce_services()
            # The kernel hands connections to whoever listens: one of several workers does so once it can answer.
            if self.shares_port:
                await self._listen(security)
            self._keeper.watch()
        except DrainingError:
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
        """Say NOT_SERVING, let what is in flight end, stop; calling it again with a shorter grace cuts the first short.

        Args:
            grace: seconds for what is in flight; None: as configured.

        Returns:
            whether everything in flight was answered.

        """
        if not self._stopping.is_set() and not self.registry.loading:
            _log.info("stopping: %s in flight", counted(self.gate.in_flight, "call"))
        if not self._stopping.is_set():
            self._stopping.set()
            self._accepts(False)
        self._keeper.close()
        if self._security is not None:
            self._security.stop()
        self._health.drain()
        self.gate.close()
        answered = await self.gate.drained(self.config.grace if grace is None else grace)
        if not answered:
            _log.warning("%s cut off: the time to finish is over", counted(self.gate.in_flight, "call"))
        if self._grpc is not None:
            if answered:
                # gRPC cancels what has arrived and not been handed over yet: let those be refused, in words.
                await self.gate.settled(_QUIET_S, _FLUSH_S)
            await self._grpc.stop(_FLUSH_S if answered else 0)
        self._batcher.close()
        await asyncio.to_thread(self.observation.close)
        self._stopped.set()
        return answered

    def reload(self) -> None:
        """Read certificates and tokens again now; what is broken is logged and leaves the old ones in force."""
        if self._security is not None:
            self._security.reload()

    @property
    def address(self) -> str:
        """`host:port` as a client would write it."""
        return join_address(self.config.host, self.port)

    @property
    def busy(self) -> bool:
        """Whether something is being loaded; after `stop` that ends as soon as it can."""
        return self._keeper.busy

    @property
    def stuck(self) -> bool:
        """Whether a run was told to end and does not, so that nothing can be computed; health says NOT_SERVING."""
        return self._batcher.stuck

    @property
    def down(self) -> bool:
        """Whether gRPC has closed the port and it is not open again."""
        return self._grpc is not None and self._grpc.down

    @property
    def models(self) -> list[ServedModel]:
        """The versions that are ready, by name and then version."""
        return self.registry.ready()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _find_models(self) -> list[str]:
        """Find the models to load at start."""
        config = self.config
        explicit = config.repository_mode == "explicit"
        try:
            found = find_models(config.models_dir)
        except RepositoryError as error:
            if not config.allow_empty:
                raise
            _log.warning("nothing is served: %s", error)
            return []
        if explicit:
            self._refuse_absent(config.load_models, found, "model to load", "--load-model")
            return list(dict.fromkeys(config.load_models))
        self._refuse_absent([config.default_model or found[0]], found, "default model", "--default-model")
        return found

    def _refuse_absent(self, names: Sequence[str], found: Sequence[str], what: str, option: str) -> None:
        for name in names:
            if name not in found:
                raise StartError(
                    f"the {what} {name!r} is not in {self.config.models_dir}: {listed(found)}; "
                    f"name one of these with {option}"
                )

    def _services(self) -> list[grpc.GenericRpcHandler]:
        """Make the services; they outlast a gRPC server that has to be rebuilt.

        Never by the generated functions that add a servicer to a server: they register each method with gRPC's core
        too, which then writes to memory that a serving task frees when it ends.
        """
        reception = Reception(self.observers)
        return [
            NativeService(self.predictor, reception, self.config).handler(),
            InferenceService(self.predictor, reception, self._health, self._statistics, self.config).handler(),
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
            interceptors=security.interceptors(self.observers),
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
        security.start()

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
        """Say of a version, of its model and of the whole whether they are served."""
        versions = self.registry.versions(name)
        self._health.set(f"{name}/{version}", serving=version in versions and self._able)
        self._health.set(name, serving=bool(versions) and self._able)
        self._announce_services()

    def _announce_all(self) -> None:
        for served in self.registry.ready():
            self._announce(served.name, served.version)

    def _announce_services(self) -> None:
        serving = not self.registry.loading and bool(self.registry.names()) and self._able
        for name in ("", *_SERVICES):
            self._health.set(name, serving=serving)
