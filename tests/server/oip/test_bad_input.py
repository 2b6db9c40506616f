"""Every bad request of the protocol gets the status, and the field, that say what is wrong with it."""

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from server.bundles.tiny import draw_rows
from server.oip.asking import BASE_OUTPUTS, features, outputs, typed
from server.running.live import Running, RunServer, details
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

ROWS = draw_rows(4)
Change = Callable[[Any], None]


def raw(rows: Any = ROWS, shape: Any = None, datatype: str = "FP32") -> Any:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name="features", datatype=datatype, shape=rows.shape if shape is None else shape
    )
    return service_pb2.ModelInferRequest(inputs=[tensor], raw_input_contents=[rows.tobytes()])


def changed(request: Any, change: Change) -> Any:
    change(request)
    return request


def spoilt(value: float, dtype: type[np.floating] = np.float32) -> Any:
    rows = ROWS.astype(dtype)
    rows[3, 2] = value
    return rows


def with_parameter(name: str, **value: Any) -> Any:
    def change(request: Any) -> None:
        request.parameters[name].CopyFrom(service_pb2.InferParameter(**value))

    return changed(raw(), change)


CASES: dict[str, tuple[Any, str, str]] = {
    "no inputs": (service_pb2.ModelInferRequest(), "inputs", "there are none"),
    "another input": (
        changed(raw(), lambda r: setattr(r.inputs[0], "name", "rows")),
        "inputs[0].name",
        "there is no input 'rows'; the one input is 'features'",
    ),
    "an input too many": (
        changed(raw(), lambda r: r.inputs.add(name="mood")),
        "inputs[1].name",
        "there is no input 'mood'",
    ),
    "the input twice": (changed(raw(), lambda r: r.inputs.add(name="features")), "inputs[1].name", "sent twice"),
    "whole numbers": (raw(ROWS.astype(np.int64), datatype="INT64"), "inputs[0].datatype", "'INT64' is not taken"),
    "no datatype": (raw(datatype=""), "inputs[0].datatype", "send 'features' as FP32 or FP64"),
    "no shape": (raw(shape=[]), "inputs[0].shape", "there are 0"),
    "flat": (raw(shape=[16]), "inputs[0].shape", "expected two numbers, (rows, columns), but there are 1"),
    "cube": (raw(shape=[2, 2, 4]), "inputs[0].shape", "there are 3"),
    "no rows": (raw(ROWS[:0]), "inputs[0].shape", "at least one row"),
    "any number of rows": (raw(shape=[-1, 4]), "inputs[0].shape", "(-1, 4) has a negative number"),
    "two wrongs": (raw(shape=[-4, -4]), "inputs[0].shape", "(-4, -4) has a negative number"),
    "too few columns": (raw(ROWS[:, :3]), "inputs[0].shape", "3 columns, but tiny/2 takes 4"),
    "no columns": (raw(ROWS[:, :0]), "inputs[0].shape", "0 columns, but"),
    "too many rows": (raw(np.resize(ROWS, (1001, 4))), "inputs[0].shape", "--max-rows"),
    "rows beyond counting": (raw(shape=[2**63 - 1, 4]), "inputs[0].shape", "--max-rows"),
    "too few bytes": (raw(shape=[5, 4]), "raw_input_contents[0]", "means 80 bytes of FP32, but 64 came"),
    "doubles called floats": (raw(ROWS.astype(np.float64)), "raw_input_contents[0]", "bytes of FP32, but 128 came"),
    "floats called doubles": (raw(datatype="FP64"), "raw_input_contents[0]", "bytes of FP64, but 64 came"),
    "bytes of another tensor": (
        changed(raw(), lambda r: r.raw_input_contents.append(b"")),
        "raw_input_contents",
        "2 elements for 1 input",
    ),
    "no values": (
        changed(raw(), lambda r: r.ClearField("raw_input_contents")),
        "inputs[0].contents.fp32_contents",
        "means 16 values, but 0 came",
    ),
    "both forms": (
        changed(typed(ROWS), lambda r: r.raw_input_contents.append(ROWS.tobytes())),
        "inputs[0].contents",
        "send one of the two",
    ),
    "values of another type": (
        changed(typed(ROWS.astype(np.float64)), lambda r: setattr(r.inputs[0], "datatype", "FP32")),
        "inputs[0].contents.fp64_contents",
        "values of FP32 belong in fp32_contents",
    ),
    "too many values": (
        changed(typed(ROWS), lambda r: r.inputs[0].contents.fp32_contents.append(1)),
        "inputs[0].contents.fp32_contents",
        "means 16 values, but 17 came",
    ),
    "NaN": (raw(spoilt(np.nan)), "rows[3].tempo", "feature 'tempo' of row 3 is NaN"),
    "infinite": (typed(spoilt(-np.inf)), "rows[3].tempo", "is infinite"),
    "NaN as double": (raw(spoilt(np.nan, np.float64), datatype="FP64"), "rows[3].tempo", "is NaN"),
    "a signalling NaN": (
        raw(np.where(np.eye(4) > 0, np.uint64(0x7FF4000000000000).view(np.float64), 0.0), datatype="FP64"),
        "rows[0].chroma",
        "is NaN",
    ),
    "beyond float32": (raw(spoilt(1e300, np.float64), datatype="FP64"), "rows[3].tempo", "too large for float32"),
    "numbers beyond float32": (typed(spoilt(-1e39, np.float64)), "rows[3].tempo", "too large for float32"),
    "unknown output": (typed(ROWS, "label", "mood"), "outputs[1].name", "tiny/2 has no output 'mood'; it has label, "),
    "unknown base": (typed(ROWS, "probabilities.middle"), "outputs[0].name", "probabilities.left, probabilities.right"),
    "an output twice": (typed(ROWS, "label", "label"), "outputs[1].name", "named twice"),
    "an output in shared memory": (
        changed(
            typed(ROWS, "label"),
            lambda r: (
                r.outputs[0]
                .parameters["shared_memory_region"]
                .CopyFrom(service_pb2.InferParameter(string_param="mine"))
            ),
        ),
        "outputs[0].parameters[shared_memory_region]",
        "send the values in the message",
    ),
    "a version in words": (raw(), "model_version", "'latest' is not a version"),
    "priority in words": (with_parameter("priority", string_param="high"), "parameters[priority]", "string_param"),
    "priority below 0": (with_parameter("priority", int64_param=-1), "parameters[priority]", "negative"),
    "priority without a value": (with_parameter("priority"), "parameters[priority]", "nothing"),
    "timeout as a fraction": (with_parameter("timeout", double_param=0.5), "parameters[timeout]", "double_param"),
    "timeout below 0": (with_parameter("timeout", int64_param=-5), "parameters[timeout]", "negative"),
}
CASES["a version in words"][0].model_version = "latest"


@pytest.mark.parametrize("case", CASES)
def test_names_the_field(inference_stub: Any, case: str) -> None:
    request, field, text = CASES[case]
    with pytest.raises(grpc.RpcError) as caught:
        inference_stub.ModelInfer(request, timeout=20)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    found = details(caught.value)
    assert [description for name, description in found if name == field and text in description], found


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "٣", "00000000001", " 2", "9" * 400])
def test_what_is_no_version(inference_stub: Any, version: str) -> None:
    for method, request in (
        ("ModelInfer", changed(raw(), lambda r: setattr(r, "model_version", version))),
        ("ModelMetadata", service_pb2.ModelMetadataRequest(name="tiny", version=version)),
        ("ModelReady", service_pb2.ModelReadyRequest(name="tiny", version=version)),
        ("ModelStatistics", service_pb2.ModelStatisticsRequest(name="tiny", version=version)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            getattr(inference_stub, method)(request, timeout=20)
        assert details(caught.value)[0][0] == "model_version"


@pytest.mark.parametrize(("model", "version"), [("rock", ""), ("tiny", "1"), ("", "9999999999")])
def test_unknown_models_and_versions(client: Any, model: str, version: str) -> None:
    asks: list[Callable[[], Any]] = [
        lambda: client.infer(model, features(ROWS), version),
        lambda: client.get_model_metadata(model, version),
        lambda: client.get_inference_statistics(model, version),
    ]
    for ask in asks:
        with pytest.raises(InferenceServerException) as caught:
            ask()
        assert caught.value.status() == "StatusCode.NOT_FOUND"
        assert "served: " in caught.value.message()
    assert not client.is_model_ready(model, version)


@pytest.mark.parametrize(
    "method",
    [
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelInfer",
        "ModelStatistics", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload",
    ],
)  # fmt: skip
def test_bytes_that_are_no_message(tiny_server: Running, method: str) -> None:
    call: Any = tiny_server.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff" * 50)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, caught.value
    assert details(caught.value)[0][0] == "request"


def test_what_is_not_offered_is_said_to_be_so(client: Any, inference_stub: Any) -> None:
    with pytest.raises(InferenceServerException, match="classification extension is not answered"):
        client.infer("tiny", features(ROWS), outputs=[triton.InferRequestedOutput("probabilities", class_count=3)])
    elsewhere = triton.InferInput("features", [4, 4], "FP32")
    elsewhere.set_shared_memory("region", 64)
    with pytest.raises(InferenceServerException, match="send the values in the message"):
        client.infer("tiny", [elsewhere])
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.get_system_shared_memory_status()


def test_parameters_nobody_knows_pass_by(client: Any) -> None:
    answer = client.infer("tiny", features(ROWS), parameters={"team": "blue"}, sequence_id=5, sequence_start=True)
    assert answer.as_numpy("label").shape == (4,)


def test_an_answer_over_the_limit(tiny_models: Any, run_server: RunServer) -> None:
    with (
        run_server(tiny_models, max_message_mib=1) as running,
        triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client,
    ):
        rows = np.resize(ROWS, (60_000, 4))
        with pytest.raises(InferenceServerException, match=r"the answer would have 2\.1 MiB.*--max-message-mib"):
            client.infer("tiny", features(rows), outputs=outputs("probabilities", *BASE_OUTPUTS))
        with pytest.raises(InferenceServerException, match=r"larger than max \(\d+ vs\. 1048576\)"):
            client.infer("tiny", features(np.resize(ROWS, (65_536, 4)).astype(np.float64)[:, :3].copy()))
        assert client.infer("tiny", features(rows[:30_000]), outputs=outputs("probabilities"))
