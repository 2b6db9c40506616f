"""The unmodified tritonclient, against the real server."""

import importlib.metadata
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from server.bundles.tiny import CLASSES, FEATURES, TinyStack, draw_rows
from server.oip.asking import BASE_OUTPUTS, features, outputs, typed
from server.running.live import Running, running_server
from support.waiting import GUARD_S
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from genrestack import Client

ROWS = draw_rows(5)


def test_live_and_ready(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "2")
    assert client.is_model_ready("")
    assert not client.is_model_ready("rock")
    assert not client.is_model_ready("tiny", "1")


def test_server_metadata(client: Any) -> None:
    described = client.get_server_metadata(as_json=True)
    assert described == {
        "name": "genrestack",
        "version": importlib.metadata.version("genrestack"),
        "extensions": ["model_configuration", "model_repository", "schedule_policy", "statistics"],
    }


@pytest.mark.parametrize("version", ["", "2"])
def test_model_config(client: Any, version: str) -> None:
    base = [{"name": name, "data_type": "TYPE_FP32", "dims": ["3"]} for name in BASE_OUTPUTS]
    assert client.get_model_config("tiny", version, as_json=True) == {
        "config": {
            "name": "tiny",
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "version_policy": {"latest": {"num_versions": 1}},
            "max_batch_size": 1000,
            "input": [{"name": "features", "data_type": "TYPE_FP32", "dims": ["4"]}],
            "output": [
                {"name": "label", "data_type": "TYPE_STRING"},
                {"name": "class_index", "data_type": "TYPE_INT64"},
                {"name": "probabilities", "data_type": "TYPE_FP32", "dims": ["3"]},
                *base,
            ],
            "dynamic_batching": {
                "preferred_batch_size": [64],
                "priority_levels": "2",
                "default_priority_level": "2",
            },
            "parameters": {
                "classes": {"string_value": json.dumps(CLASSES, ensure_ascii=False)},
                "features": {"string_value": json.dumps(FEATURES)},
            },
        }
    }
    # What is described is what answers.
    config = client.get_model_config("").config
    answer = client.infer("tiny", features(ROWS), outputs=outputs(*(output.name for output in config.output)))
    for output in config.output:
        assert answer.as_numpy(output.name).shape == (len(ROWS), *output.dims)


def test_the_configuration_of_what_is_not_there(client: Any) -> None:
    for name, version in (("rock", ""), ("tiny", "1")):
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            client.get_model_config(name, version)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("all", {"all": {}}),
        ("latest:2", {"latest": {"num_versions": 2}}),
        ("2,1", {"specific": {"versions": ["1", "2"]}}),
    ],
)
def test_the_configuration_follows_the_settings(tiny_models: Path, policy: str, told: dict[str, Any]) -> None:
    settings = {"version_policy": policy, "batching": policy != "all", "max_queue_delay": 0.0015, "max_batch_rows": 7}
    with (
        running_server(tiny_models, **settings) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as asked,
    ):
        config = asked.get_model_config("tiny", as_json=True)["config"]
    assert config["version_policy"] == told
    assert config["max_batch_size"] == 65_536
    if policy == "all":
        assert "dynamic_batching" not in config
    else:
        batching = config["dynamic_batching"]
        assert (batching["max_queue_delay_microseconds"], batching["preferred_batch_size"]) == ("1500", [7])


@pytest.mark.parametrize("version", ["", "2"])
def test_model_metadata(client: Any, version: str) -> None:
    described = client.get_model_metadata("tiny", version, as_json=True)
    base = [{"name": name, "datatype": "FP32", "shape": ["-1", "3"]} for name in BASE_OUTPUTS]
    assert described == {
        "name": "tiny",
        "versions": ["2"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": ["-1", "4"]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": ["-1"]},
            {"name": "class_index", "datatype": "INT64", "shape": ["-1"]},
            {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "3"]},
            *base,
        ],
    }
    assert client.get_model_metadata("tiny").inputs[0].shape == [-1, 4]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infer(client: Any, stack: TinyStack, dtype: type[np.floating]) -> None:
    answer = client.infer("tiny", features(ROWS.astype(dtype)), request_id="seven\n七")
    expected = stack.predict_proba(ROWS)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)
    assert answer.as_numpy("probabilities").dtype == np.float32
    np.testing.assert_array_equal(answer.as_numpy("class_index"), expected.argmax(axis=1))
    assert answer.as_numpy("class_index").dtype == np.int64
    assert [label.decode() for label in answer.as_numpy("label")] == [CLASSES[i] for i in expected.argmax(axis=1)]
    response = answer.get_response()
    assert (response.model_name, response.model_version, response.id) == ("tiny", "2", "seven\n七")
    assert [output.name for output in response.outputs] == ["label", "class_index", "probabilities"]


def test_base_outputs_are_what_our_own_client_is_told(tiny_server: Running, client: Any) -> None:
    answer = client.infer("tiny", features(ROWS), outputs=outputs(*BASE_OUTPUTS, "probabilities"))
    with Client(f"127.0.0.1:{tiny_server.port}") as ours:
        prediction = ours.predict(ROWS, base=True)
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), prediction.probabilities)
    for name in ("left", "right"):
        np.testing.assert_array_equal(answer.as_numpy(f"probabilities.{name}"), prediction.base[name])
    assert [output.name for output in answer.get_response().outputs] == [*BASE_OUTPUTS, "probabilities"]
    assert answer.as_numpy("label") is None


def test_one_output_alone(client: Any) -> None:
    answer = client.infer("tiny", features(ROWS), outputs=outputs("label"))
    assert len(answer.get_response().raw_output_contents) == 1
    assert answer.as_numpy("label").shape == (5,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_answered_with_numbers(inference_stub: Any, stack: TinyStack, dtype: type[np.floating]) -> None:
    names = ("label", "class_index", "probabilities", "probabilities.right")
    answer = inference_stub.ModelInfer(typed(ROWS.astype(dtype), *names))
    label, index, probabilities, right = (output.contents for output in answer.outputs)
    expected = stack.predict_proba(ROWS)
    assert not answer.raw_output_contents
    assert [name.decode() for name in label.bytes_contents] == [CLASSES[i] for i in expected.argmax(axis=1)]
    assert list(index.int64_contents) == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(np.reshape(probabilities.fp32_contents, (5, 3)), expected, atol=1e-6)
    np.testing.assert_allclose(np.reshape(right.fp32_contents, (5, 3)), stack.base(ROWS)["right"], atol=1e-6)


def test_an_empty_message_of_numbers_beside_the_bytes(inference_stub: Any) -> None:
    (tensor,) = features(ROWS)
    request = service_pb2.ModelInferRequest(inputs=[tensor._get_tensor()], raw_input_contents=[ROWS.tobytes()])
    request.inputs[0].contents.SetInParent()
    assert len(inference_stub.ModelInfer(request).raw_output_contents) == 3


def test_the_default_model_answers_when_none_is_named(client: Any) -> None:
    assert client.infer("", features(ROWS)).get_response().model_name == "tiny"


def test_compressed(client: Any) -> None:
    answer = client.infer("tiny", features(ROWS), compression_algorithm="gzip")
    assert answer.as_numpy("label").shape == (5,)


def test_async_infer(client: Any, stack: TinyStack) -> None:
    answers: Queue[tuple[Any, Any]] = Queue()
    client.async_infer("tiny", features(ROWS), lambda result, error: answers.put((result, error)))
    client.async_infer("rock", features(ROWS), lambda result, error: answers.put((result, error)))
    pair = [answers.get(timeout=GUARD_S), answers.get(timeout=GUARD_S)]
    (result,) = (result for result, error in pair if error is None)
    (error,) = (error for _, error in pair if error is not None)
    np.testing.assert_allclose(result.as_numpy("probabilities"), stack.predict_proba(ROWS), atol=1e-6)
    assert error.status() == "StatusCode.NOT_FOUND"


def test_a_request_of_many_mebibytes(tiny_models: Any, run_server: Any, stack: TinyStack) -> None:
    rows = np.resize(ROWS.astype(np.float64), (200_000, 4))
    with (
        run_server(tiny_models, max_rows=300_000) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client,
    ):
        assert rows.nbytes > 6 * 2**20
        answer = client.infer("tiny", features(rows), outputs=outputs("probabilities", *BASE_OUTPUTS))
    expected = np.resize(stack.predict_proba(ROWS), (200_000, 3))
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)


def test_many_callers_at_once_get_their_own_answers(tiny_server: Running, stack: TinyStack) -> None:
    barrier = threading.Barrier(16)

    def ask(number: int) -> None:
        rows = draw_rows(1 + number % 3, seed=number)
        expected = stack.predict_proba(rows)
        with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
            barrier.wait(GUARD_S)
            for _ in range(20):
                answer = client.infer("tiny", features(rows), request_id=str(number))
                assert answer.get_response().id == str(number)
                np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(16)))
