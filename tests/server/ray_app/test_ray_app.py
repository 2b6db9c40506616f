"""The application for Ray Serve without Ray: settings, what its proxies say, models that take turns."""

import asyncio
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from server.bundles.tiny import TinyStack, write_tiny

from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import (
    InvalidInput,
    LoadRejected,
    NotFound,
    SettingsError,
    StartError,
    StillLoading,
)
from genrestack_server.models.background import give_back
from genrestack_server.ray_app import add_prediction_service, app
from genrestack_server.ray_app.config import SERVER_SETTINGS, RayConfig, read
from genrestack_server.ray_app.demand import CachedModel, DemandManager, DemandRegistry, Models
from genrestack_server.ray_app.proxy import METHODS, Handlers, meant, named
from genrestack_server.telemetry.observer import Observer

Code = grpc.StatusCode


def test_settings_come_as_texts_or_values() -> None:
    ray, server = read({"models_dir": "there", "num_cpus": "2", "max_replicas": 3, "batching": "no", "max_rows": "10"})
    assert (ray.num_cpus, ray.max_replicas, ray.models_per_replica) == (2.0, 3, None)
    # Replicas run elsewhere, in folders of their own.
    assert server.models_dir == Path("there").absolute()
    assert (server.threads, server.batching, server.max_rows) == (2, False, 10)
    assert server.repository_mode == "poll"


def test_models_that_take_turns_are_loaded_when_asked_for() -> None:
    ray, server = read({"models_dir": "/models", "models_per_replica": 2, "threads": 3})
    assert ray.models_per_replica == 2
    assert (server.repository_mode, server.threads) == ("explicit", 3)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"model_dir": "x"}, "there is no setting 'model_dir'; did you mean models_dir?"),
        ({"xyz": "x"}, "there is no setting 'xyz'; there are allow_empty, batching, "),
        ({"port": 50051}, "port is not a setting of replicas: ports, security and logs are Ray's; leave it out"),
        ({"max_replicas": "many"}, "max_replicas is 'many'; it must be a whole number from 1 to 10,000"),
        ({"max_replicas": 2.5}, "max_replicas is 2.5; it must be a whole number from 1 to 10,000"),
        ({"min_replicas": 5}, "min_replicas is 5, more than max_replicas, 4"),
        ({"num_cpus": -1}, "num_cpus is -1.0; it must be a number from 0 to 1,024"),
        ({"version_policy": "newest"}, "version_policy is 'newest'; it must be latest:N, all, or version numbers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be(args: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        app(args)
    assert str(caught.value).startswith(said)


def test_settings_do_not_collide() -> None:
    assert not set(SERVER_SETTINGS) & set(RayConfig.__slots__)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python does for a module that is not installed.
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StartError, match=r'^replicas need, on every machine: pip install "genrestack\[server,ray\]"'):
        app({})


def test_a_proxy_has_no_streams() -> None:
    added: list[Handlers] = []

    class Proxy:
        def add_generic_rpc_handlers(self, handlers: Any) -> None:
            added.extend(handlers)

    add_prediction_service(None, Proxy())
    (handlers,) = added

    class Details(grpc.HandlerCallDetails):
        def __init__(self, method: str) -> None:
            self.method = method
            self.invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()

    assert [handlers.service(Details(method)) is None for method in METHODS] == [False] * 4
    assert handlers.service(Details("/genrestack.v1.PredictionService/PredictStream")) is None


def test_which_model_a_request_means() -> None:
    def of(model: str, given: str) -> tuple[str, str]:
        name, data = named(pb.PredictRequest, pb.PredictRequest(model=model).SerializeToString(), given)
        return name, pb.PredictRequest.FromString(data).model

    assert of("a", "") == ("a", "a")
    assert of("", "b") == ("b", "b")
    assert of("a", "b") == ("a", "a")
    assert of("", "") == ("", "")
    assert named(pb.GetModelRequest, b"\xff", "b") == ("b", b"\xff")


INSIDE = "ray::ServeReplica:default:GenreStack() (pid=26431, ip=10.0.0.5, actor_id=1f) File /opt/x.py"


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.UNKNOWN, Code.UNAVAILABLE])
def test_a_lost_replica_is_somebody_to_ask_again(code: grpc.StatusCode) -> None:
    status = meant(code.value[0], INSIDE)
    assert status.code == Code.UNAVAILABLE.value[0]
    assert "try again" in status.message
    assert "ray" not in status.message


def test_a_full_queue_names_a_time_to_come_back() -> None:
    status = meant(Code.RESOURCE_EXHAUSTED.value[0], "Request dropped due to backpressure (num_queued_requests=9)")
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.nanos > 0
    assert "max_queued_requests" in status.message


def test_what_ray_says_of_applications_stays() -> None:
    assert meant(Code.NOT_FOUND.value[0], "Application 'x' not found.").message == "Application 'x' not found."


class Cache:
    """Holds as many as Ray would, and lets go of what was not asked for the longest."""

    def __init__(self, fetch: Callable[[str], Coroutine[Any, Any, CachedModel]], most: int) -> None:
        self._fetch = fetch
        self._most = most
        self._lock = asyncio.Lock()
        self.models: OrderedDict[str, CachedModel] = OrderedDict()

    async def __call__(self, name: str) -> CachedModel:
        if name not in self.models:
            async with self._lock:
                if name not in self.models:
                    if len(self.models) == self._most:
                        self.models.popitem(last=False)
                    self.models[name] = await self._fetch(name)
        self.models.move_to_end(name)
        return self.models[name]


class Taking:
    """A repository of three models of which two are held."""

    def __init__(self, folder: Path, default_model: str | None = None, most: int = 2) -> None:
        config = ServerConfig(
            models_dir=folder,
            repository_mode="explicit",
            threads=1,
            poll_interval=0.05,
            default_model=default_model,
            provider="cpu",
        )
        self.registry = DemandRegistry(default_model)
        self.registry.finish_loading()
        self.manager = DemandManager(config, self.registry, Observer(), lambda *_: None, lambda *_: None)
        self.models = Models(config, self.registry, self.manager)
        self.cache = Cache(self.models.fetch, most)

    async def ensure(self, name: str) -> None:
        await self.models.ensure(name, self.cache)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("one", "two", "three")):
        write_tiny(tmp_path, name, TinyStack.draw(seed))
    return tmp_path


def test_models_are_loaded_when_asked_for_and_freed_when_others_are(folder: Path) -> None:
    async def work() -> None:
        taking = Taking(folder)
        await taking.ensure("one")
        await taking.ensure("two")
        one = weakref.ref(taking.registry.find("one", 0))
        await taking.ensure("three")
        assert taking.registry.names() == ["three", "two"]
        give_back()
        assert one() is None
        with pytest.raises(StillLoading, match="try again"):
            taking.registry.find("one", 0)
        await taking.ensure("one")
        assert taking.registry.find("one", 0).version == 1
        assert taking.registry.names() == ["one", "three"]
        taking.manager.close()

    asyncio.run(work())


def test_what_is_not_there_makes_nobody_leave(folder: Path) -> None:
    write_tiny(folder, "bad", TinyStack.draw(0), answers=TinyStack.draw(1))

    async def work() -> None:
        taking = Taking(folder)
        await taking.ensure("one")
        await taking.ensure("two")
        with pytest.raises(NotFound, match="there is no model 'gone' here; there are: bad, one, three, two"):
            await taking.ensure("gone")
        assert taking.registry.names() == ["one", "two"]
        with pytest.raises(LoadRejected, match="golden rows"):
            await taking.ensure("bad")
        held = list(taking.cache.models)
        # Not loaded, and nobody made room for it, a second time.
        with pytest.raises(LoadRejected, match="golden rows"):
            await taking.ensure("bad")
        assert list(taking.cache.models) == held
        taking.manager.close()

    asyncio.run(work())


def test_which_model_is_meant_when_none_is_named(folder: Path) -> None:
    async def work() -> None:
        with pytest.raises(InvalidInput, match="model: there are several models and none is the default"):
            await Taking(folder).ensure("")
        taking = Taking(folder, default_model="two")
        await taking.ensure("")
        assert taking.registry.find("", 0).name == "two"
        taking.manager.close()

    asyncio.run(work())


def test_many_at_once(folder: Path) -> None:
    async def work() -> None:
        taking = Taking(folder, most=1)
        asked = [taking.ensure(name) for name in ("one", "two", "three") * 4]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, StillLoading) for outcome in outcomes), outcomes
        assert len(taking.registry.names()) == 1
        taking.manager.close()

    asyncio.run(work())


def test_a_new_version_of_what_is_held_is_taken_up(folder: Path) -> None:
    async def work() -> None:
        taking = Taking(folder)
        await taking.ensure("one")
        write_tiny(folder, "one", TinyStack.draw(7))
        write_tiny(folder, "two", TinyStack.draw(7))
        await taking.manager.look_once()
        assert taking.registry.find("one", 0).version == 2
        assert taking.registry.names() == ["one"]
        taking.manager.close()

    asyncio.run(work())
