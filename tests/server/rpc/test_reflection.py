"""A tool that knows nothing but the reflection API finds every service, and can call both of ours."""

import base64
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2
from server.bundles.tiny import CLASSES, TinyStack, draw_rows
from server.running.live import Running
from support.network.reflecting import Reflected, Request

ROWS = draw_rows(3)


@pytest.fixture
def server(tiny_server: Running) -> Reflected:
    return Reflected(tiny_server.channel)


def test_lists_every_service(server: Reflected) -> None:
    assert server.services == [
        "genrestack.v1.PredictionService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    ]


def test_describes_the_methods_of_each(server: Reflected) -> None:
    methods = {service: sorted(server.methods(service)) for service in server.services}
    assert methods["genrestack.v1.PredictionService"] == ["GetModel", "ListModels", "Predict", "PredictStream"]
    assert methods["grpc.health.v1.Health"][0] == "Check"
    assert methods["grpc.reflection.v1alpha.ServerReflection"] == ["ServerReflectionInfo"]
    assert methods["inference.GRPCInferenceService"] == [
        "ModelConfig", "ModelInfer", "ModelMetadata", "ModelReady", "ModelStatistics", "ModelStreamInfer",
        "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "ServerLive", "ServerMetadata",
        "ServerReady",
    ]  # fmt: skip


def test_sends_what_a_file_imports(server: Reflected) -> None:
    assert set(server.file_names("genrestack.v1.PredictionService")) == {
        "genrestack_proto/v1/prediction.proto",
        "genrestack_proto/v1/model.proto",
        "google/rpc/status.proto",
        "google/protobuf/any.proto",
    }


def test_calls_the_native_service(server: Reflected, stack: TinyStack) -> None:
    method = "genrestack.v1.PredictionService/Predict"
    answer = server.call(method, {"rows": {"shape": [3, 4], "values": ROWS.ravel().tolist()}, "base": True})
    expected = stack.predict_proba(ROWS)
    assert answer["labels"] == [CLASSES[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(np.reshape(answer["probabilities"]["values"], (3, 3)), expected, atol=1e-6)
    assert [part["name"] for part in answer["base"]] == ["left", "right"]


def test_streams_through_the_native_service(server: Reflected) -> None:
    server.learn("google.rpc.BadRequest")
    good: dict[str, Any] = {"rows": {"shape": [1, 4], "values": [0.0] * 4}}
    first, second, third = server.call_many("genrestack.v1.PredictionService/PredictStream", [good, {}, good])
    assert len(first["response"]["labels"]) == len(third["response"]["labels"]) == 1
    (detail,) = second["error"]["details"]
    assert detail["field_violations"][0]["field"] == "rows"


def test_calls_the_open_inference_protocol(server: Reflected, stack: TinyStack) -> None:
    tensor = {
        "name": "features",
        "datatype": "FP32",
        "shape": [3, 4],
        "contents": {"fp32_contents": ROWS.ravel().tolist()},
    }
    answer = server.call("inference.GRPCInferenceService/ModelInfer", {"model_name": "tiny", "inputs": [tensor]})
    expected = stack.predict_proba(ROWS)
    label, index, probabilities = (output["contents"] for output in answer["outputs"])
    assert [base64.b64decode(name).decode() for name in label["bytes_contents"]] == [
        CLASSES[i] for i in expected.argmax(axis=1)
    ]
    assert [int(i) for i in index["int64_contents"]] == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(np.reshape(probabilities["fp32_contents"], (3, 3)), expected, atol=1e-6)
    assert server.call("inference.GRPCInferenceService/ServerLive", {}) == {"live": True}


def test_asks_health(server: Reflected) -> None:
    for name in ("", *server.services[:1], *server.services[3:], "tiny", "tiny/2"):
        assert server.call("grpc.health.v1.Health/Check", {"service": name}) == {"status": "SERVING"}
    with pytest.raises(grpc.RpcError):
        server.call("grpc.health.v1.Health/Check", {"service": "rock"})


def test_what_there_is_not(server: Reflected) -> None:
    answers = server.ask(
        Request(file_containing_symbol="rock.Roll"),
        Request(file_by_filename="rock.proto"),
        Request(
            file_containing_extension=reflection_pb2.ExtensionRequest(
                containing_type="inference.ModelInferRequest", extension_number=7
            )
        ),
        Request(file_by_filename="genrestack_proto/inference/open_inference.proto"),
    )
    codes = [answer.error_response.error_code for answer in answers]
    assert codes == [grpc.StatusCode.NOT_FOUND.value[0]] * 3 + [0]
