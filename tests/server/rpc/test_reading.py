"""Requests are read only when they are wanted; a unary method takes one message, whatever gRPC would let through."""

import asyncio
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from server.bundles.tiny import CLASSES
from server.rpc.test_limits import retry_delay
from server.running.live import Running, RunServer, details
from server.test_command import batch
from support.waiting import until

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.v1 import prediction_pb2 as native
from genrestack_server.errors import InvalidInput
from genrestack_server.rpc import health, request_reader
from genrestack_server.service.messages import run_in_thread

PREDICT = "/genrestack.v1.PredictionService/Predict"
CHECK = "/grpc.health.v1.Health/Check"
MODEL_STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
UNARY = [
    f"/{service.full_name}/{method.name}"
    for service in (
        native.DESCRIPTOR.services_by_name["PredictionService"],
        oip.DESCRIPTOR.services_by_name["GRPCInferenceService"],
        health_pb2.DESCRIPTOR.services_by_name["Health"],
    )
    for method in service.methods
    if not method.client_streaming
]
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Held:
    """A call that is open and sends nothing, until it is told to."""

    def __init__(self, running: Running, path: str) -> None:
        self._release = threading.Event()
        self._sent: list[bytes] = []
        method: Any = running.channel.stream_stream(path)
        self.call = method(self._requests())
        # The server has it in hand once it has answered a call that came later on the same connection.
        running.health()

    def _requests(self) -> Iterator[bytes]:
        self._release.wait(60)
        yield from self._sent

    def send(self, *messages: bytes) -> None:
        self._sent += messages
        self._release.set()

    def code(self) -> grpc.StatusCode:
        """Wait for the end."""
        return self.call.code()  # type: ignore[no-any-return]


def refused(running: Running, path: str, *messages: bytes, **options: Any) -> grpc.RpcError:
    call: Any = running.channel.stream_stream(path)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter(messages), timeout=30, **options))
    return caught.value


@pytest.mark.parametrize("path", UNARY)
@pytest.mark.parametrize(("messages", "text"), [(0, "there is none"), (2, "more than one")])
def test_a_unary_method_takes_one_message(tiny_server: Running, path: str, messages: int, text: str) -> None:
    error: Any = refused(tiny_server, path, *[b""] * messages)
    assert error.code() is INVALID
    ((field, said),) = details(error)
    assert field == "request"
    assert text in said


def test_who_sends_nothing_makes_room(tiny_models: Path, run_server: RunServer) -> None:
    """Calls that are open and silent use up no place of those who send, of whichever kind they are."""
    with run_server(tiny_models, max_concurrent_rpcs=2) as running:
        silent = [Held(running, path) for path in (MODEL_STREAM, PREDICT)]
        for oldest in (0, 1, 2, 3):
            assert len(running.stub.Predict(batch(1)).labels) == 1
            assert silent[oldest].code() is EXHAUSTED
            assert 0 < retry_delay(silent[oldest].call) < 1
            silent.append(Held(running, MODEL_STREAM if oldest % 2 else PREDICT))
        for held in silent[4:]:
            held.call.cancel()


def test_who_sends_late_is_answered_while_there_is_room(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, max_concurrent_rpcs=2) as running:
        late = Held(running, PREDICT)
        assert len(running.stub.Predict(batch(1)).labels) == 1
        late.send(batch(1).SerializeToString())
        (answer,) = late.call
        assert native.PredictResponse.FromString(answer).classes == list(CLASSES)


def test_who_sends_too_late_is_not(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_reader, "_ARRIVES_WITHIN_S", 0.2)
    with run_server(tiny_models) as running:
        calls = [Held(running, path) for path in (PREDICT, CHECK, "/inference.GRPCInferenceService/ServerLive")]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert "did not arrive in time" in calls[0].call.details()


def test_who_sends_nothing_does_not_hold_up_the_end(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models) as running:
        calls = [Held(running, path) for path in (PREDICT, "/genrestack.v1.PredictionService/PredictStream")]
        assert running.stop(grace=3600).result()
        assert {call.code() for call in calls} == {grpc.StatusCode.UNAVAILABLE}


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION, "/inference.GRPCInferenceService/ServerLive"])
def test_silent_calls_of_open_services_are_few(tiny_server: Running, path: str) -> None:
    """Health answers while others keep it open and send nothing, and most of those end."""
    held = [Held(tiny_server, path) for _ in range(40)]
    assert tiny_server.health() == "SERVING"
    until(lambda: sum(call.call.done() for call in held) >= len(held) - request_reader._SMALL_AT_ONCE)
    ended = [call for call in held if call.call.done()]
    assert all(call.code() is EXHAUSTED for call in ended)
    assert len(ended) < len(held)
    for call in held:
        call.call.cancel()


def test_watchers_are_bounded(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_MAX_WATCHERS", 3)
    with run_server(tiny_models) as running:
        watch: Any = running.channel.unary_stream(WATCH)
        watches: list[Any] = []
        for _ in range(5):
            watches.append(watch(b""))
            next(watches[-1])
        assert [watch.code() for watch in watches[:2]] == [EXHAUSTED] * 2
        assert running.stop(grace=30).result()
        assert [len(list(watch)) for watch in watches[2:]] == [1, 1, 1]


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_health_and_reflection_take_small_requests(
    tiny_server: Running, path: str, compression: grpc.Compression
) -> None:
    kind: Any = reflection_pb2.ServerReflectionRequest if path == REFLECTION else health_pb2.HealthCheckRequest
    field = "host" if path == REFLECTION else "service"
    for size in (5_000, 500_000):
        request = kind(**{field: "a" * size}).SerializeToString()
        error: Any = refused(tiny_server, path, request, compression=compression)
        assert error.code() in {INVALID, EXHAUSTED}
        assert "4,096" in error.details()


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
@pytest.mark.parametrize("junk", [b"\xff\xff", b"\x0a\x02\xff\xff", b"\x0a\x05ab"])
def test_health_and_reflection_refuse_what_is_no_request(
    tiny_server: Running, path: str, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        assert refused(tiny_server, path, junk).code() is INVALID
    assert not [record for record in caplog.records if not record.name.startswith("genrestack_server")]


def test_an_error_of_large_work_does_not_keep_the_message() -> None:
    """Messages are parsed one at a time; one that is refused must not stay until the event loop comes to its error."""

    class Parsed:
        pass

    made: list[weakref.ref[Parsed]] = []

    def work() -> None:
        message = Parsed()
        made.append(weakref.ref(message))
        raise InvalidInput.of("rows", "no")

    with pytest.raises(InvalidInput) as caught:
        asyncio.run(run_in_thread(work))
    assert caught.value.violations[0].description == "no"
    assert made[0]() is None


def test_many_honest_callers_at_once_are_all_answered(tiny_server: Running) -> None:
    """Far more than there are places; none is ended for another whose request is on its way too."""
    ready: Any = tiny_server.channel.stream_stream("/inference.GRPCInferenceService/ServerReady")
    calls = [ready(iter([b""])) for _ in range(4 * request_reader._SMALL_AT_ONCE)]
    assert [len(list(call)) for call in calls] == [1] * len(calls)
