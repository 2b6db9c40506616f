"""`grpc.health.v1` over a real port, asked with the stubs of the package."""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import Running, RunServer
from support.waiting import GUARD_S

SERVICES = ("genrestack.v1.PredictionService", "inference.GRPCInferenceService")
LIVES = "grpc.health.v1.Health"


@pytest.fixture
def explicit(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> Iterator[Running]:
    """A server with nothing loaded yet."""
    write_tiny(tmp_path, "tiny", stack)
    with run_server(tmp_path, repository_mode="explicit", allow_empty=True, management="open") as running:
        yield running


class Watching:
    """Everything that Watch says of a name."""

    def __init__(self, running: Running, name: str) -> None:
        request = health_pb2.HealthCheckRequest(service=name)
        self.call: Any = health_pb2_grpc.HealthStub(running.channel).Watch(request)
        self.said: Queue[str] = Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def next(self) -> str:
        return self.said.get(timeout=GUARD_S)

    def end(self) -> None:
        self.call.cancel()
        self._thread.join(GUARD_S)

    def _read(self) -> None:
        try:
            for answer in self.call:
                self.said.put(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
            self.said.put("ended")
        except grpc.RpcError as error:
            self.said.put(error.code().name)


@pytest.mark.parametrize("name", ["", *SERVICES, "tiny", "tiny/2"])
def test_what_is_served_is_serving(tiny_server: Running, name: str) -> None:
    assert tiny_server.health(name) == "SERVING"


@pytest.mark.parametrize("name", ["rock", "tiny/1", "inference.Other", "Tiny"])
def test_what_is_not_here_is_not_found(tiny_server: Running, name: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        tiny_server.health(name)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_watch_follows_a_model_that_comes_and_goes(explicit: Running) -> None:
    names = ["", *SERVICES, "tiny", "tiny/1"]
    watching = {name: Watching(explicit, name) for name in names}
    first = {name: watch.next() for name, watch in watching.items()}
    assert [first[name] for name in ("", *SERVICES)] == ["NOT_SERVING"] * 3
    assert {first["tiny"], first["tiny/1"]} <= {"NOT_SERVING", "SERVICE_UNKNOWN"}
    with triton.InferenceServerClient(f"127.0.0.1:{explicit.port}") as client:
        assert not client.is_server_ready()
        client.load_model("tiny")
        assert {name: watch.next() for name, watch in watching.items()} == dict.fromkeys(names, "SERVING")
        assert client.is_server_ready()
        client.unload_model("tiny")
        assert {name: watch.next() for name, watch in watching.items()} == dict.fromkeys(names, "NOT_SERVING")
        assert client.is_server_live()
        assert not client.is_server_ready()
    for watch in watching.values():
        watch.end()
        assert watch.next() == "CANCELLED"


def test_that_it_lives_is_said_whatever_is_served(explicit: Running) -> None:
    assert explicit.health() == "NOT_SERVING"
    assert explicit.health(LIVES) == "SERVING"


def test_several_watchers_of_a_name_do_not_disturb_each_other(explicit: Running) -> None:
    stays, leaves = Watching(explicit, ""), Watching(explicit, "")
    assert stays.next() == leaves.next() == "NOT_SERVING"
    leaves.end()
    with triton.InferenceServerClient(f"127.0.0.1:{explicit.port}") as client:
        client.load_model("tiny")
    assert stays.next() == "SERVING"
    stays.end()


def test_a_server_that_stops_says_so_and_ends_the_watch(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models) as running:
        watching = [Watching(running, name) for name in ("", *SERVICES, "tiny", LIVES, "rock")]
        assert [watch.next() for watch in watching] == ["SERVING"] * 5 + ["SERVICE_UNKNOWN"]
        running.stop().result(GUARD_S)
        assert [watch.next() for watch in watching[:4]] == ["NOT_SERVING"] * 4
        for watch in watching:
            assert watch.next() in {"ended", "UNAVAILABLE", "CANCELLED"}
            watch.end()
