"""The same rows by HTTP and by gRPC: the same answers, to the last bit of a float32."""

import gzip
import json
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from server.bundles.tiny import CLASSES, TinyStack, draw_rows
from server.http.asking import LENGTH, Answer, Http, in_bytes, in_json
from server.running.live import Running

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

BASE = ("probabilities.left", "probabilities.right")
OUTPUTS = ("label", "class_index", "probabilities", *BASE)


def by_grpc(running: Running, rows: npt.NDArray[Any], *outputs: str, version: str = "") -> dict[str, Any]:
    """Ask the protocol's service by gRPC, with raw bytes."""
    datatype = {4: "FP32", 8: "FP64"}[rows.dtype.itemsize]
    request = pb.ModelInferRequest(
        model_name="tiny",
        model_version=version,
        inputs=[pb.ModelInferRequest.InferInputTensor(name="features", datatype=datatype, shape=rows.shape)],
        outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs],
        raw_input_contents=[rows.tobytes()],
    )
    call: Any = running.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelInferResponse.FromString,
    )
    answer = call(request, timeout=60)
    found = dict(zip((output.name for output in answer.outputs), answer.raw_output_contents, strict=True))
    found["version"] = answer.model_version
    return found


def same(answer: Answer, expected: dict[str, Any], *outputs: str) -> None:
    """Compare bytes with bytes."""
    assert answer.status == 200
    assert answer.document["model_version"] == expected["version"]
    assert list(answer.outputs) == list(outputs)
    for name, value in answer.outputs.items():
        if name == "label":
            framed = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in value)
            assert framed == expected[name]
        else:
            assert value.tobytes() == expected[name]


@pytest.mark.parametrize("rows", [1, 3, 700], ids=lambda rows: f"{rows}-rows")
@pytest.mark.parametrize("outputs", [(), ("probabilities",), tuple(reversed(OUTPUTS))], ids=["default", "one", "all"])
def test_json_and_bytes_are_answered_as_by_grpc(
    http_server: Running, http: Http, rows: int, outputs: tuple[str, ...]
) -> None:
    drawn = draw_rows(rows)
    expected = by_grpc(http_server, drawn, *outputs)
    names = outputs or OUTPUTS[:3]
    same(http.infer(in_json(drawn, *outputs)), expected, *names)
    same(http.infer(in_json(drawn, *outputs, nested=True)), expected, *names)
    document, data = in_bytes(drawn, *outputs)
    answer = http.infer_binary(document, data)
    assert answer.headers["content-type"] == "application/octet-stream"
    same(answer, expected, *names)
    document, data = in_bytes(drawn, *outputs, binary_data_output=False)
    answer = http.infer_binary(document, data)
    assert answer.headers["content-type"] == "application/json"
    assert LENGTH.lower() not in answer.headers
    same(answer, expected, *names)
    same(http.infer(in_json(drawn, *outputs, parameters={"binary_data_output": True})), expected, *names)


def test_doubles_are_rounded_as_by_grpc(http_server: Running, http: Http) -> None:
    rows = np.random.default_rng(3).normal(size=(5, 4))
    expected = by_grpc(http_server, rows)
    same(http.infer(in_json(rows, datatype="FP64")), expected, *OUTPUTS[:3])
    same(http.infer(in_json(rows, datatype="FP32")), expected, *OUTPUTS[:3])
    document, data = in_bytes(rows)
    same(http.infer_binary(document, data), expected, *OUTPUTS[:3])


def test_each_output_says_for_itself_how_it_goes(http_server: Running, http: Http) -> None:
    rows = draw_rows(2)
    document = in_json(rows, parameters={"binary_data_output": True})
    document["outputs"] = [
        {"name": "label", "parameters": {"binary_data": False}},
        {"name": "probabilities"},
        {"name": "class_index", "parameters": {"binary_data": False}},
        {"name": "probabilities.left", "parameters": {"binary_data": True}},
    ]
    answer = http.infer(document)
    ways = ["data" in output for output in answer.document["outputs"]]
    assert ways == [True, False, True, False]
    names = ("label", "probabilities", "class_index", "probabilities.left")
    same(answer, by_grpc(http_server, rows, *names), *names)


def test_the_original_agrees(http: Http, stack: TinyStack) -> None:
    rows = draw_rows(50)
    answer = http.infer(in_json(rows, *OUTPUTS))
    probabilities = stack.predict_proba(rows)
    np.testing.assert_allclose(answer.outputs["probabilities"], probabilities, atol=1e-6)
    assert answer.outputs["label"] == [CLASSES[index] for index in probabilities.argmax(axis=1)]
    for name, expected in stack.base(rows).items():
        np.testing.assert_allclose(answer.outputs[f"probabilities.{name}"], expected, atol=1e-6)


def test_integers_and_exponents_are_numbers(http: Http) -> None:
    document = in_json(np.zeros((1, 4)))
    document["inputs"][0]["data"] = [1, -2, 3e-1, 4.5]
    expected = http.infer(in_json(np.array([[1, -2, 0.3, 4.5]]))).outputs["probabilities"]
    np.testing.assert_array_equal(http.infer(document).outputs["probabilities"], expected)


def test_versions_are_chosen_by_the_path(http_server: Running, http: Http) -> None:
    rows = draw_rows(2)
    for version in ("1", "2"):
        answer = http.infer(in_json(rows), f"/v2/models/tiny/versions/{version}/infer")
        same(answer, by_grpc(http_server, rows, version=version), *OUTPUTS[:3])
    assert http.infer(in_json(rows)).document["model_version"] == "2"


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(http_server: Running, http: Http, encoding: str, compress: Any) -> None:
    rows = draw_rows(300)
    expected = by_grpc(http_server, rows)
    body = compress(json.dumps(in_json(rows)).encode())
    same(http.ask("POST", "/v2/models/tiny/infer", body, Content_Encoding=encoding), expected, *OUTPUTS[:3])
    document, data = in_bytes(rows)
    text = json.dumps(document).encode()
    answer = http.ask(
        "POST",
        "/v2/models/tiny/infer",
        compress(text + data),
        Content_Encoding=encoding,
        Inference_Header_Content_Length=str(len(text)),
    )
    same(answer, expected, *OUTPUTS[:3])


def test_a_body_in_chunks(http_server: Running, http: Http) -> None:
    rows = draw_rows(300)
    body = json.dumps(in_json(rows)).encode()
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    same(http.ask("POST", "/v2/models/tiny/infer", pieces), by_grpc(http_server, rows), *OUTPUTS[:3])


def test_ids_go_back_and_into_the_call(http: Http) -> None:
    answer = http.infer(in_json(draw_rows(1), id="request-7"))
    assert (answer.document["id"], answer.headers["x-request-id"]) == ("request-7", "request-7")
    answer = http.infer(in_json(draw_rows(1)), X_Request_Id="mine")
    assert "id" not in answer.document
    assert answer.headers["x-request-id"] == "mine"
    assert len(http.infer(in_json(draw_rows(1))).headers["x-request-id"]) == 16


@pytest.mark.parametrize(
    ("text", "header"),
    [
        *[(text, None) for text in ("двенадцать", " ", " | ", "a ", " a", "a" * 127 + " b")],
        *[("\t", "?"), ("a\r\nb: c", "a??b: c"), ("\0", "?"), ("\x7f", "?"), ("a" * 5000 + " ", "a" * 128)],
    ],
)
def test_an_id_goes_back_in_the_header_where_it_fits_into_one(http: Http, text: str, header: str | None) -> None:
    answer = http.infer(in_json(draw_rows(1), id=text))
    assert (answer.document["id"], answer.headers.get("x-request-id")) == (text, header)


def test_the_native_service_answers_the_same(http_server: Running, http: Http) -> None:
    rows = draw_rows(4)
    native = http_server.stub.Predict(PredictRequest(rows=to_matrix(rows)), timeout=60)
    answer = http.infer(in_json(rows))
    assert answer.outputs["label"] == list(native.labels)
    assert answer.outputs["probabilities"].tobytes() == native.probabilities.raw
