"""One replica: Ray calls its methods with a message's bytes and a context, and gets a message, or a status, back.

What comes by Ray's HTTP proxy goes to `__call__`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2
from starlette.requests import Request
from starlette.responses import Response

from genrestack_bundle import BundleError
from genrestack_bundle.layout import is_version
from genrestack_bundle.manifest import read_manifest
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import NotFound
from genrestack_server.inference.validation import check_bytes
from genrestack_server.models.repository import Versions, versions_of
from genrestack_server.models.version_policy import VersionPolicy
from genrestack_server.ray_app.core import Core
from genrestack_server.ray_app.demand import CachedModel, Models
from genrestack_server.ray_app.http import HttpFront
from genrestack_server.ray_app.proxy import named
from genrestack_server.rpc.prediction_service import SERVICE_NAME
from genrestack_server.service.messages import parse_request
from genrestack_server.service.prediction import without_long_fields
from genrestack_server.service.status import BY_NUMBER, DETAILS_KEY
from genrestack_server.telemetry.log_setup import LOGGER

_Message = TypeVar("_Message", bound=Message)
_Check = health_pb2.HealthCheckResponse
_WHOLE: Final = ("", SERVICE_NAME)


class Replica:
    """Holds all models of a repository, or some of them."""

    async def __init__(self, config: ServerConfig, models_per_replica: int | None = None) -> None:  # type: ignore[misc]  # Ray awaits it
        """Load what is to be served; Ray sends requests once this is through.

        Args:
            config: what is served.
            models_per_replica: models held at most, loaded when asked for; None: all, from the start.

        Raises:
            StartError: there is nothing to serve.

        """
        _log_as_ray_does()
        self._config = config
        self._core = Core(config)
        self._models: Models | None = None
        await self._core.start()
        if models_per_replica is not None and self._core.on_demand is not None:
            await self._hold(models_per_replica, Models(config, self._core.on_demand, self._core.engine.manager))
        self._http = HttpFront(self._core, config, None if models_per_replica is None else self._prepare)

    async def __call__(self, _: Request) -> Response:
        """Answer a request by HTTP."""
        return self._http.response()

    async def Predict(self, data: bytes, grpc_context: Any) -> pb.PredictResponse:  # noqa: N802 - gRPC's name
        """Answer one batch."""

        async def work(call: Call) -> pb.PredictResponse:
            asked = await self._ensured(pb.PredictRequest, data)
            check_bytes(len(asked), self._config)
            with self._core.engine.admission.admit():
                return await self._core.prediction.predict(asked, call)

        return await self._answered("Predict", grpc_context, work, pb.PredictResponse)

    async def ListModels(self, data: bytes, grpc_context: Any) -> pb.ListModelsResponse:  # noqa: N802 - gRPC's name
        """List the models that can be asked."""

        async def work(_: Call) -> pb.ListModelsResponse:
            answer = self._core.prediction.list_models(data)
            return answer if self._models is None else await self._with_the_others(answer, self._models)

        return await self._answered("ListModels", grpc_context, work, pb.ListModelsResponse)

    async def GetModel(self, data: bytes, grpc_context: Any) -> pb.GetModelResponse:  # noqa: N802 - gRPC's name
        """Describe one model."""

        async def work(call: Call) -> pb.GetModelResponse:
            asked = await self._ensured(pb.GetModelRequest, data)
            return self._core.prediction.get_model(asked, call)

        return await self._answered("GetModel", grpc_context, work, pb.GetModelResponse)

    async def Check(self, data: bytes, grpc_context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Return whether the application, or one model, answers; that a replica answers this at all is half of it."""

        async def work(_: Call) -> Any:
            name = parse_request(health_pb2.HealthCheckRequest, data).service
            serving = bool(await self._names()) if name in _WHOLE else await self._is_served(name)
            return _Check(status=_Check.SERVING if serving else _Check.NOT_SERVING)

        return await self._answered("Check", grpc_context, work, _Check)

    async def check_health(self) -> None:
        """Return, which shows Ray that the event loop of the requests turns; it has one of its own."""

    async def _hold(self, most: int, models: Models) -> None:
        from ray import serve

        async def fetch(model_id: str) -> CachedModel:
            return await models.fetch(model_id)

        self._models = models
        self._cache = serve.multiplexed(max_num_models_per_replica=most)(fetch)
        await models.look()
        if self._config.default_model is not None:
            await models.ensure(self._config.default_model, self._cache)

    async def _prepare(self, model: str) -> None:
        if self._models is not None:
            await self._models.ensure(model, self._cache)

    async def _ensured(self, kind: type[pb.PredictRequest | pb.GetModelRequest], data: bytes) -> bytes:
        """Load the model that a request means; return the request, which names it."""
        if self._models is None:
            return data
        from ray import serve

        # Not by Ray's id alone, which proxies that know nothing of several models leave out.
        model, data = named(kind, data, serve.get_multiplexed_model_id())
        await self._models.ensure(model, self._cache)
        return data

    async def _answered(
        self, method: str, context: Any, work: Callable[[Call], Awaitable[_Message]], kind: type[_Message]
    ) -> _Message:
        outcome = await self._core.lifecycle.run(Call(method), work, _Arrived(context))
        if not isinstance(outcome, status_pb2.Status):
            return outcome
        context.set_code(BY_NUMBER[outcome.code])
        context.set_details(outcome.message)
        context.set_trailing_metadata([(DETAILS_KEY, outcome.SerializeToString())])
        return kind()

    async def _names(self) -> frozenset[str]:
        loaded = frozenset(self._core.engine.registry.names())
        return loaded if self._models is None else loaded | await self._models.look()

    async def _is_served(self, name: str) -> bool:
        model, _, version = name.partition("/")
        if model not in await self._names():
            raise NotFound("nothing of this name is served here")
        served = self._core.engine.registry.versions(model)
        if not version:
            return True
        number = int(version) if is_version(version) else 0
        if number not in served and (self._models is None or number not in await self._lying(model)):
            raise NotFound("nothing of this name is served here")
        return True

    async def _lying(self, model: str) -> Versions:
        return await asyncio.to_thread(versions_of, self._config.models_dir / model)

    async def _with_the_others(self, loaded: pb.ListModelsResponse, models: Models) -> pb.ListModelsResponse:
        """Add what would be loaded if it were asked for, as its manifest describes it."""
        there = {model.name for model in loaded.models}
        for name in await models.look() - there:
            loaded.models.extend(await asyncio.to_thread(_described, self._config, name))
        return pb.ListModelsResponse(models=sorted(loaded.models, key=lambda model: (model.name, model.version)))


def _described(config: ServerConfig, name: str) -> list[Any]:
    folder = config.models_dir / name
    policy = VersionPolicy.parse(config.version_policy)
    found: list[Any] = []
    for version in policy.candidates(versions_of(folder)):
        if policy.satisfied(len(found)):
            break
        try:
            found.append(without_long_fields(read_manifest(folder / str(version))))
        except BundleError:
            continue
    return found


class _Arrived:
    """Ray's context, as the plain server's is read. Ray itself cancels what its caller no longer waits for."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def time_remaining(self) -> None:
        """Return None: Ray keeps the deadline."""

    def invocation_metadata(self) -> Any:
        """Return the caller's metadata."""
        return self._context.invocation_metadata()


def _log_as_ray_does() -> None:
    """Write log lines where Ray writes those of this replica."""
    ours = logging.getLogger(LOGGER)
    for handler in logging.getLogger("ray.serve").handlers:
        if handler not in ours.handlers:
            ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
