"""The models of a folder, answered in this process and without a port: bytes in, bytes out.

`open_models` is what the package contributes to the entry-point group `genrestack.local`; the client calls it and knows
nothing of what is behind it.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2

from genrestack_bundle import list_models
from genrestack_bundle.layout import is_version
from genrestack_bundle.runtime.providers import import_onnxruntime
from genrestack_common.text import listed, quoted
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_server.call import Call
from genrestack_server.config.server_config import Provider, ServerConfig
from genrestack_server.errors import Draining, FailedPrecondition, InvalidInput, NotFound, StartError
from genrestack_server.inference.engine import Engine
from genrestack_server.inference.validation import check_bytes
from genrestack_server.models.repository import find_models, versions_of
from genrestack_server.service.lifecycle import Lifecycle
from genrestack_server.service.messages import end_thread, parse_request
from genrestack_server.service.prediction import PredictionHandler
from genrestack_server.service.status import to_status
from genrestack_server.telemetry.observer import Observers

Metadata = Iterable[tuple[str, str]]
Outcome = tuple[bytes, bytes]
"""A message's bytes and none, or none and those of the `google.rpc.Status` that says why there is no message."""

_Method = Callable[[bytes, Call], Awaitable[Message]]

_SERVICE: Final = pb.DESCRIPTOR.services_by_name["PredictionService"].full_name
_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_MANIFEST: Final = "manifest.json"
# Runs that were told to end do so after the node they are at.
_JOIN_S: Final = 10.0


def open_models(path: str, **settings: Any) -> "LocalModels":
    """Return the models of a folder, which `start` loads.

    Args:
        path: a model repository, the folder of one model in it, or that of one of its versions; absolute.
        settings: `model`, `version`, `provider`, `threads`; None, or left out, is the server's own choice.

    Raises:
        ModuleNotFoundError: a library of the extra `server` is missing.

    """
    # Imported where it is used, which is where a bundle's faults are caught: too late to tell that it is missing.
    import_onnxruntime()
    return LocalModels(path, **settings)


@dataclass(frozen=True)
class _Place:
    """What is to be loaded, and from where."""

    repository: Path
    model: str | None
    """None: every one."""
    version: int | None
    """None: the newest good one."""


class LocalModels:
    """An engine in a thread of its own, loaded once: what changes in the folder afterwards is not noticed."""

    def __init__(
        self,
        path: str,
        *,
        model: str | None = None,
        version: int | None = None,
        provider: Provider | None = None,
        threads: int | None = None,
    ) -> None:
        self._path = Path(path)
        self._wanted = model, version
        self._provider: Provider = provider or "auto"
        self._threads = threads
        self._started: Future[bytes] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()
        self._lifecycle = Lifecycle(Observers([]))
        self._methods: dict[str, _Method] = {}
        self._calls: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="genrestack-local", daemon=True)

    def start(self) -> bytes:
        """Load, verify and warm up; return nothing, or the bytes of the `Status` that says why it failed."""
        self._thread.start()
        return self._started.result()

    def call(self, method: str, data: bytes, metadata: Metadata, timeout: float | None) -> "Future[Outcome]":
        """Begin one call; cancelling the future ends it.

        Args:
            method: as gRPC has it, `/service/method`.
            data: the request.
            metadata: as gRPC's.
            timeout: seconds for the call; None: no limit.

        """
        with self._lock:
            if self._closed or self._loop is None:
                ended: Future[Outcome] = Future()
                ended.cancel()
                return ended
            return asyncio.run_coroutine_threadsafe(self._answer(method, data, _Arrived(metadata, timeout)), self._loop)

    def close(self) -> None:
        """End the calls in flight, free the models and end the threads; closing again does nothing."""
        with self._lock:
            closed, self._closed = self._closed, True
            if not closed and self._loop is not None:
                with suppress(RuntimeError):  # it has ended by itself
                    self._loop.call_soon_threadsafe(self._closing.set)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
            error: BaseException = Draining("it was closed before it was loaded")
        except BaseException as met:  # noqa: BLE001 - raised where the start is awaited
            error = met
        if not self._started.done():
            self._started.set_result(to_status(_refusal(error)).SerializeToString())
        # Garbage collection ends its threads.
        self._methods = {}

    async def _serve(self) -> None:
        config = self._config(_find(self._path, *self._wanted))
        engine = Engine(config, Observers([]))
        self._methods = _Methods(engine, config).by_name
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._closed:
                self._closing.set()
        loading = asyncio.create_task(engine.manager.start(engine.manager.find_models()))
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({loading, closing}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                self._started.set_result(b"")
                await closing
        finally:
            engine.admission.close()
            # Calls in flight end because it was closed; their error says that, not that a server has stopped.
            for call in list(self._calls):
                call.cancel()
            await asyncio.sleep(0)
            engine.close()
            # What is being loaded ends as soon as it can.
            await asyncio.wait({loading})
            if not loading.cancelled():
                loading.exception()
            end_thread(asyncio.get_running_loop())

    async def _answer(self, method: str, data: bytes, context: "_Arrived") -> Outcome:
        if (task := asyncio.current_task()) is not None:
            self._calls.add(task)
        name, work = method.rpartition("/")[2], self._methods.get(method)
        if work is None:
            return b"", to_status(NotFound(f"there is no method {method}")).SerializeToString()
        outcome = await self._lifecycle.run(Call(name), partial(work, data), context)
        packed = outcome.SerializeToString()
        return (b"", packed) if isinstance(outcome, status_pb2.Status) else (packed, b"")

    def _config(self, place: _Place) -> ServerConfig:
        return ServerConfig(
            models_dir=place.repository,
            repository_mode="poll" if place.model is None else "explicit",
            load_models=() if place.model is None else (place.model,),
            version_policy="latest:1" if place.version is None else str(place.version),
            provider=self._provider,
            threads=self._threads,
        )


class _Methods:
    """What answers each method, from a request's bytes and its `Call`."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config
        self._prediction = PredictionHandler(engine, config)
        self.by_name: dict[str, _Method] = {
            f"/{_SERVICE}/Predict": self._predict,
            f"/{_SERVICE}/ListModels": self._list_models,
            f"/{_SERVICE}/GetModel": self._get_model,
            f"/{_HEALTH}/Check": self._check,
        }

    async def _predict(self, data: bytes, call: Call) -> pb.PredictResponse:
        check_bytes(len(data), self._config)
        with self._engine.admission.admit():
            return await self._prediction.predict(data, call)

    async def _list_models(self, data: bytes, _: Call) -> pb.ListModelsResponse:
        return self._prediction.list_models(data)

    async def _get_model(self, data: bytes, call: Call) -> pb.GetModelResponse:
        return self._prediction.get_model(data, call)

    async def _check(self, data: bytes, _: Call) -> Any:
        name = parse_request(health_pb2.HealthCheckRequest, data).service
        model, _slash, version = name.partition("/")
        served = self._engine.registry.versions(model)
        number = int(version) if is_version(version) else 0
        if name not in ("", _SERVICE) and (not served or (version and number not in served)):
            raise NotFound("nothing of this name is served here")
        able = not self._engine.batcher.stuck
        answer = health_pb2.HealthCheckResponse
        return answer(status=answer.SERVING if able else answer.NOT_SERVING)


class _Arrived:
    """Metadata of the request."""

    def __init__(self, metadata: Metadata, timeout: float | None) -> None:
        self._metadata = metadata
        self._timeout = timeout

    def time_remaining(self) -> float | None:
        """Return the seconds that the caller waits."""
        return self._timeout

    def invocation_metadata(self) -> Metadata:
        """Return the caller's metadata."""
        return self._metadata


def _find(path: Path, model: str | None, version: int | None) -> _Place:
    """Find out what a path is: a repository, the folder of a model, or that of a version.

    Raises:
        InvalidInput: it is none of them.
        NotFound: it holds no such model or version.
        StartError: it cannot be read.

    """
    if not path.exists() and path.parent.is_dir():
        _check_named(path)
    if not path.exists():
        raise InvalidInput.of("path", f"there is no folder {path}; name a model's folder, such as models/gtzan")
    if not path.is_dir():
        raise InvalidInput.of("path", f"{path} is a file; name a model's folder, such as models/gtzan")
    if (path / _MANIFEST).is_file():
        if not is_version(path.name):
            text = f"{path} is a bundle, but its folder has no version number for a name; call it {path.name}/1"
            raise InvalidInput.of("path", text)
        return _checked(_Place(path.parent.parent, path.parent.name, int(path.name)), model, version)
    if is_version(path.name) and versions_of(path.parent):
        text = f"{path} is the folder of a version, but holds no bundle ({_MANIFEST}); export it again"
        raise FailedPrecondition(text)
    if versions_of(path):
        return _checked(_Place(path.parent, path.name, version), model, version)
    found = find_models(path)
    if model is not None and model not in found:
        raise NotFound(f"there is no model {quoted(model)} in {path}; it holds: {listed(found)}")
    # The only one there is needs no name.
    chosen = model or (found[0] if len(found) == 1 else None)
    return _checked(_Place(path, chosen, version), model, version)


def _check_named(path: Path) -> None:
    """Raise NotFound for a version of a model that is there, or a model of a repository that is.

    Raises:
        NotFound: listing what there is.

    """
    versions = versions_of(path.parent)
    if is_version(path.name) and versions:
        raise NotFound(f"model {path.parent.name!r} has no version {path.name}; it has {listed(versions)}")
    if not versions and (found := list_models(path.parent)):
        raise NotFound(f"there is no model {quoted(path.name)} in {path.parent}; it holds: {listed(found)}")


def _checked(place: _Place, model: str | None, version: int | None) -> _Place:
    if place.model is None:
        if version is not None:
            text = f"is not named, but version {version} is; name both"
            raise InvalidInput.of("model", text)
        return place
    if model not in (None, place.model):
        raise NotFound(f"there is no model {quoted(model)} there; it is {quoted(place.model)}")
    if version not in (None, place.version):
        raise NotFound(f"{place.model}/{place.version} was named, and version {version} asked for")
    versions = versions_of(place.repository / place.model)
    if place.version is not None and place.version not in versions:
        raise NotFound(f"model {place.model!r} has no version {place.version}; it has {listed(versions)}")
    return place


def _refusal(error: BaseException) -> Exception:
    """Return what a caller may know: the reasons for which a server would not start are its business here."""
    if isinstance(error, StartError | ValueError):
        return FailedPrecondition(str(error))
    return error if isinstance(error, Exception) else Draining("the models were not loaded to the end")
