"""From loading to stopped: what health, reflection and predictions say at each step."""

import asyncio
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from server.bundles.held import holding
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import Running, RunServer
from support.tools import need
from support.waiting import GUARD_S, until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, ListModelsRequest, PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server import AddressError, RepositoryError, Server, ServerConfig, StartError
from genrestack_server.models.loader import load_version
from genrestack_server.models.registry import ServedModel

SERVICE = "genrestack.v1.PredictionService"


def ask(running: Running, model: str = "", rows: int = 1) -> PredictRequest:
    return PredictRequest(model=model, rows=to_matrix(draw_rows(rows)))


def refusal(running: Running, request: PredictRequest) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        running.stub.Predict(request, timeout=20)
    return caught.value


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_health_names_services_models_and_versions(tiny_server: Running) -> None:
    for name in ("", SERVICE, "tiny", "tiny/2"):
        assert tiny_server.health(name) == "SERVING"
    with pytest.raises(grpc.RpcError) as caught:
        tiny_server.health("tiny/1")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_and_describes_the_services(tiny_server: Running) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(tiny_server.channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    services, file = stub.ServerReflectionInfo(iter(requests))
    names = {service.name for service in services.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
    assert b"PredictStream" in file.file_descriptor_response.file_descriptor_proto[0]


def test_models_describe_themselves(tiny_server: Running) -> None:
    (summary,) = tiny_server.stub.ListModels(ListModelsRequest()).models
    assert (summary.name, summary.version, len(summary.classes)) == ("tiny", 2, 3)
    assert not summary.features
    assert not summary.parts
    assert not summary.files
    model = tiny_server.stub.GetModel(GetModelRequest()).model
    assert len(model.features) == 4
    assert [part.name for part in model.parts] == ["scaler", "left", "right", "meta"]
    assert model.runtime == summary.runtime
    assert model.runtime.default_version
    assert model.runtime.provider == "CPUExecutionProvider"
    (nodes,) = model.runtime.nodes_by_provider.items()
    assert nodes[0] == "CPUExecutionProvider"
    assert nodes[1] > 10
    assert model.runtime.intra_op_threads == 1
    assert model.runtime.parity.labels_agreed == model.runtime.parity.rows == 20


def test_from_loading_to_stopped(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def waiting(*arguments: Any) -> ServedModel:
        go_on.wait(GUARD_S)
        return load_version(*arguments)

    monkeypatch.setattr("genrestack_server.models.reconciler.load_version", waiting)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def make() -> Server:
        return Server(ServerConfig(models_dir=tiny_models, port=0, threads=1))

    server = asyncio.run_coroutine_threadsafe(make(), loop).result(GUARD_S)
    starting = asyncio.run_coroutine_threadsafe(server.start(), loop)
    until(lambda: server.port)
    running = Running(server.port, server, loop)
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert running.health("tiny") == "NOT_SERVING"
    error = refusal(running, ask(running))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "still loading" in str(error.details())
    assert not starting.done()

    go_on.set()
    starting.result(GUARD_S)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    assert running.health("tiny/2") == "SERVING"

    with holding(running, "tiny") as held, ThreadPoolExecutor(1) as pool:
        batch = pool.submit(running.stub.Predict, ask(running))
        held.wait()
        stopping = running.stop(grace=GUARD_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert running.health("tiny") == "NOT_SERVING"
        error = refusal(running, ask(running))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert "stopping" in str(error.details())
        assert not batch.done()
        held.free()
        assert len(batch.result(GUARD_S).labels) == 1
    assert list(watch) == []
    assert stopping.result(GUARD_S) is True
    running.channel.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_broken_version_is_skipped_for_the_next_older(
    tiny_models: Path, tmp_path: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture
) -> None:
    models = shutil.copytree(tiny_models, tmp_path / "models")
    flip_a_byte(models / "tiny" / "2" / "left.onnx")
    with run_server(models) as running:
        assert running.stub.Predict(ask(running)).version == 1
        assert running.health("tiny/1") == "SERVING"
    (line,) = [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]
    assert line.startswith("rejected tiny/2: left.onnx")


def test_a_model_that_does_not_answer_its_golden_rows_is_not_served(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    liar = TinyStack(stack.left, stack.right, -stack.meta)
    write_tiny(tmp_path, "tiny", stack, answers=liar)
    with pytest.raises(RepositoryError, match="golden rows"), run_server(tmp_path):
        pass


def test_allow_empty_serves_what_is_good(tiny_models: Path, tmp_path: Path, run_server: RunServer) -> None:
    with run_server(tmp_path / "nowhere", allow_empty=True) as running:
        assert running.health() == "NOT_SERVING"
        error = refusal(running, ask(running))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.NOT_FOUND, "no model is served here",
        )  # fmt: skip
    models = shutil.copytree(tiny_models, tmp_path / "models")
    shutil.copytree(models / "tiny" / "1", models / "bad" / "1")
    (models / "bad" / "1" / "manifest.json").unlink()
    with run_server(models, allow_empty=True) as running:
        assert running.health() == "SERVING"
        assert running.health("bad") == "NOT_SERVING"
    with pytest.raises(RepositoryError, match="model 'bad'"), run_server(models):
        pass


def test_several_models_side_by_side(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    other = TinyStack.draw(9)
    write_tiny(tmp_path, "jazz", stack)
    write_tiny(tmp_path, "rock", other)
    with run_server(tmp_path) as running:
        error = refusal(running, ask(running))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "name one: jazz, rock" in str(error.details())
        assert running.stub.Predict(ask(running, "rock")).model == "rock"
        names = [model.name for model in running.stub.ListModels(ListModelsRequest()).models]
        assert names == ["jazz", "rock"]
    with run_server(tmp_path, default_model="rock") as running:
        assert running.stub.Predict(ask(running)).model == "rock"
    with pytest.raises(StartError, match=r"default model 'pop' is not in .*: jazz, rock"):
        run_server(tmp_path, default_model="pop").__enter__()


def test_a_busy_port_is_not_shared(tiny_models: Path, tiny_server: Running, run_server: RunServer) -> None:
    with pytest.raises(AddressError, match=rf"port {tiny_server.port} .* is taken .* --port"):
        run_server(tiny_models, port=tiny_server.port).__enter__()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(AddressError, match="is taken"):
            run_server(tiny_models, port=held.getsockname()[1]).__enter__()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_ours(tiny_models: Path, run_server: RunServer, host: str) -> None:
    with pytest.raises(AddressError, match="--host"):
        run_server(tiny_models, host=host).__enter__()


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("unix:/tmp/x.sock", "only TCP is served, no socket file"),
        ("unix-abstract:x", "only TCP is served, no socket file"),
        ("/tmp/x.sock", "only TCP is served, no socket file"),
        ("[::1]", "written without brackets: --host ::1"),
        ("127.0.0.1:50051", "a setting of its own: --host 127.0.0.1 --port 50051"),
        ("[::1]:50051", "a setting of its own: --host ::1 --port 50051"),
        ("::ffff:127.0.0.1", "written as it is: --host 127.0.0.1"),
    ],
)
def test_a_host_written_in_another_way_says_how_it_is_written(
    tiny_models: Path, run_server: RunServer, host: str, advice: str
) -> None:
    with pytest.raises(AddressError) as caught:
        run_server(tiny_models, host=host).__enter__()
    assert str(caught.value).startswith(f"--host {host}: ")
    assert advice in str(caught.value)


def test_an_ipv6_address_is_served(tiny_models: Path, run_server: RunServer) -> None:
    need(_has_ipv6(), "IPv6")
    with run_server(tiny_models, host="::1") as running, grpc.insecure_channel(f"[::1]:{running.port}") as channel:
        assert PredictionServiceStub(channel).Predict(ask(running), timeout=20).version == 2
        assert running.server is not None
        assert running.server.address == f"[::1]:{running.port}"


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_grace_bounds_the_wait(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models) as running, holding(running, "tiny") as held, ThreadPoolExecutor(1) as pool:
        batch = pool.submit(running.stub.Predict, ask(running))
        held.wait()
        assert running.stop(grace=0.1).result(GUARD_S) is False
        error = batch.exception(GUARD_S)
        assert isinstance(error, grpc.RpcError)
        assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
