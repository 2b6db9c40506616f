"""The model repository and the statistics, through the unmodified tritonclient."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.oip.asking import features
from server.running.live import Running, RunServer, details
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from genrestack import Client


@pytest.fixture
def models(tmp_path: Path, stack: TinyStack) -> Path:
    """Two models: `tiny`, and `other` of which nothing is loaded at start."""
    for name in ("tiny", "other"):
        write_tiny(tmp_path, name, stack)
    return tmp_path


@pytest.fixture
def explicit(models: Path, run_server: RunServer) -> Iterator[Running]:
    with run_server(models, repository_mode="explicit", load_models=("tiny",), management="open") as running:
        yield running


@pytest.fixture
def manager(explicit: Running) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{explicit.port}") as client:
        yield client


def indexed(client: Any) -> dict[str, str]:
    """State of each version, by name and number."""
    return {f"{m.name}/{m.version}": m.state for m in client.get_model_repository_index().models}


def test_load_and_unload(explicit: Running, manager: Any, models: Path, stack: TinyStack) -> None:
    assert indexed(manager)["tiny/1"] == "READY"
    assert not manager.is_model_ready("other")
    manager.load_model("other")
    assert indexed(manager) == {"other/1": "READY", "tiny/1": "READY"}
    assert manager.infer("other", features(draw_rows(1))).get_response().model_name == "other"

    write_tiny(models, "other", stack)
    manager.load_model("other")
    assert manager.infer("other", features(draw_rows(1))).get_response().model_version == "2"
    assert manager.get_model_metadata("other").versions == ["2"]

    manager.unload_model("other")
    assert not manager.is_model_ready("other")
    assert set(indexed(manager).values()) <= {"READY", "UNAVAILABLE", "UNLOADING"}
    assert indexed(manager)["other/2"] != "READY"
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        manager.infer("other", features(draw_rows(1)))
    assert explicit.health("other") == "NOT_SERVING"
    assert manager.is_model_ready("tiny")


def test_the_index_can_be_of_the_ready_alone(explicit: Running) -> None:
    stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(explicit.channel)
    (ready,) = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True)).models
    assert (ready.name, ready.version, ready.state, ready.reason) == ("tiny", "1", "READY", "")


def test_a_bad_version_is_refused_with_a_reason(manager: Any, models: Path, stack: TinyStack) -> None:
    write_tiny(models, "tiny", stack)
    (models / "tiny" / "2" / "left.onnx").write_bytes(b"no graph")
    with pytest.raises(InferenceServerException, match=r"FAILED_PRECONDITION.*left\.onnx") as caught:
        manager.load_model("tiny")
    assert str(models) not in caught.value.message()
    entries = {m.version: m for m in manager.get_model_repository_index().models if m.name == "tiny"}
    assert entries["2"].state == "UNAVAILABLE"
    assert "left.onnx" in entries["2"].reason
    assert manager.infer("tiny", features(draw_rows(1))).get_response().model_version == "1"


def test_unknown_models(manager: Any) -> None:
    for ask in (manager.load_model, manager.unload_model):
        with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*there is no model 'rock'"):
            ask("rock")


def test_a_model_that_is_gone_can_still_be_unloaded(manager: Any, models: Path) -> None:
    shutil.rmtree(models / "tiny")
    manager.unload_model("tiny")
    assert not manager.is_server_ready()
    assert manager.is_server_live()


def test_nothing_is_loaded_from_a_request(explicit: Running, manager: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"parameters\[config\]: models are loaded from the server's"):
        manager.load_model("tiny", config="{}")
    stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(explicit.channel)
    request = service_pb2.RepositoryModelLoadRequest(model_name="tiny")
    request.parameters["file:1/model.onnx"].bytes_param = b"graph"
    with pytest.raises(grpc.RpcError) as caught:
        stub.RepositoryModelLoad(request)
    assert details(caught.value)[0][0] == "parameters[file]"


@pytest.mark.parametrize("method", ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"])
def test_there_is_one_repository(inference_stub: Any, method: str) -> None:
    request = getattr(service_pb2, f"{method}Request")(repository_name="attic")
    with pytest.raises(grpc.RpcError) as caught:
        getattr(inference_stub, method)(request)
    assert details(caught.value)[0][0] == "repository_name"


def test_statistics(explicit: Running, manager: Any) -> None:
    for rows in (1, 1, 2, 40):
        manager.infer("tiny", features(draw_rows(rows)))
    with Client(f"127.0.0.1:{explicit.port}") as ours:
        ours.predict(draw_rows(3))
        list(ours.predict_stream([draw_rows(5), draw_rows(6)]))
    with pytest.raises(InferenceServerException):
        manager.infer("tiny", features(np.full((1, 4), np.nan, dtype=np.float32)))
    (counted,) = manager.get_inference_statistics("tiny").model_stats
    stats = counted.inference_stats
    assert (counted.name, counted.version) == ("tiny", "1")
    assert counted.inference_count == 1 + 1 + 2 + 40 + 3 + 5 + 6
    assert stats.success.count == stats.queue.count == stats.compute_infer.count == 7
    assert stats.fail.count == 1
    assert stats.success.ns >= stats.queue.ns + stats.compute_infer.ns > 0
    assert 0 < counted.execution_count == sum(batch.compute_infer.count for batch in counted.batch_stats)
    computed = sum(batch.batch_size * batch.compute_infer.count for batch in counted.batch_stats)
    assert computed == counted.inference_count
    assert counted.last_inference > 1.6e12


def test_statistics_of_all_and_of_a_version_loaded_anew(manager: Any) -> None:
    manager.load_model("other")
    manager.infer("tiny", features(draw_rows(1)))
    manager.infer("other", features(draw_rows(2)))
    counted = {m.name: m.inference_count for m in manager.get_inference_statistics().model_stats}
    assert counted == {"other": 2, "tiny": 1}
    manager.unload_model("other")
    assert [m.name for m in manager.get_inference_statistics().model_stats] == ["tiny"]
    manager.load_model("other")
    counted = {m.name: m.inference_count for m in manager.get_inference_statistics().model_stats}
    assert counted == {"other": 0, "tiny": 1}


def test_a_server_that_manages_itself_says_so(client: Any) -> None:
    for ask in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match=r"FAILED_PRECONDITION.*--repository-mode explicit"):
            ask("tiny")
