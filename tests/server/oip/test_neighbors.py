"""What is asked for by name alone: nearest training rows and novelty, by gRPC and by HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from server.bundles.songs import draw_songs
from server.http.asking import asking, in_bytes, in_json
from server.oip.asking import features, outputs
from server.running.live import Running, running_server
from tritonclient.utils import InferenceServerException

from genrestack import Client, Prediction
from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.http.codec.requests import AnswerForm
from genrestack_server.http.codec.responses import encode
from genrestack_server.telemetry.observer import Observer

NAMED = ("neighbor_labels", "neighbor_distances", "novelty")
SHAPES = {"neighbor_labels": (70, 10), "neighbor_distances": (70, 10), "novelty": (70,)}
ROWS = draw_songs(70, 5).astype(np.float32)
"""More than one execution takes."""
INFER = "/v2/models/songs/infer"


@pytest.fixture(scope="module")
def running(song_models: Path) -> Iterator[Running]:
    with running_server(song_models, http_port=0, max_message_mib=1) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client:
        yield client


@pytest.fixture(scope="module")
def expected(running: Running) -> Prediction:
    """What our own client is told."""
    with Client(f"127.0.0.1:{running.port}", timeout=60) as client:
        return client.predict(ROWS, neighbors=10, novelty=True)


def same(found: dict[str, Any], expected: Prediction) -> None:
    tables = {name: np.reshape(found[name], SHAPES[name]).tolist() for name in NAMED}
    assert expected.neighbors is not None
    assert tables["neighbor_labels"] == [[neighbor.label for neighbor in row] for row in expected.neighbors]
    assert tables["neighbor_distances"] == [[neighbor.distance for neighbor in row] for row in expected.neighbors]
    assert expected.novelty is not None
    assert tables["novelty"] == expected.novelty.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_what_our_own_client_is_told(client: Any, expected: Prediction, dtype: type[np.floating]) -> None:
    answer = client.infer("songs", features(ROWS.astype(dtype)), outputs=outputs("label", *NAMED))
    assert [output.datatype for output in answer.get_response().outputs] == ["BYTES", "BYTES", "FP64", "FP64"]
    found = {name: answer.as_numpy(name) for name in NAMED}
    assert {name: values.shape for name, values in found.items()} == SHAPES
    same(found | {"neighbor_labels": [label.decode() for label in found["neighbor_labels"].ravel()]}, expected)
    assert [label.decode() for label in answer.as_numpy("label")] == expected.labels


def test_they_are_told_as_plain_numbers_too(running: Running, expected: Prediction) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="features", datatype="FP32", shape=ROWS.shape)
    tensor.contents.fp32_contents.extend(ROWS.ravel().tolist())
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in NAMED]
    call: Any = running.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelInferResponse.FromString,
    )
    answer = call(pb.ModelInferRequest(model_name="songs", inputs=[tensor], outputs=wanted), timeout=60)
    assert {output.name: tuple(output.shape) for output in answer.outputs} == SHAPES
    labels, distances, novelty = (output.contents for output in answer.outputs)
    texts = [label.decode() for label in labels.bytes_contents]
    same(dict(zip(NAMED, (texts, distances.fp64_contents, novelty.fp64_contents), strict=True)), expected)


@pytest.mark.parametrize("binary", [False, True])
def test_they_are_the_same_by_http(running: Running, expected: Prediction, *, binary: bool) -> None:
    with asking(running) as http:
        if binary:
            document, data = in_bytes(ROWS, *NAMED)
            answer = http.infer_binary(document, data, path=INFER)
        else:
            answer = http.infer(in_json(ROWS, *NAMED), INFER)
    assert answer.status == 200
    assert {output["name"]: tuple(output["shape"]) for output in answer.document["outputs"]} == SHAPES
    same(answer.outputs, expected)


def test_json_has_no_word_for_a_distance_too_large_for_a_double() -> None:
    far = pb.ModelInferResponse.InferOutputTensor(name="novelty", datatype="FP64", shape=[3])
    values = np.array([1.5, np.inf, np.nan])
    answer = pb.ModelInferResponse(outputs=[far], raw_output_contents=[values.tobytes()])
    text = b"".join(encode(answer, AnswerForm(), {}).body)
    assert json.loads(text)["outputs"][0]["data"] == [1.5, None, None]


def test_they_are_listed_where_the_model_has_them(client: Any) -> None:
    described = {output.name: list(output.shape) for output in client.get_model_metadata("songs").outputs}
    assert {name: described.get(name) for name in NAMED} == {name: [-1, *SHAPES[name][1:]] for name in NAMED}
    config = {output.name: list(output.dims) for output in client.get_model_config("songs").config.output}
    assert {name: config.get(name) for name in NAMED} == {name: list(SHAPES[name][1:]) for name in NAMED}


def test_a_model_that_has_none_says_so(tiny_server: Running) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
        assert not set(NAMED) & {output.name for output in client.get_model_metadata("tiny").outputs}
        for name in NAMED:
            with pytest.raises(InferenceServerException, match=f"tiny/2 has no output '{name}'"):
                client.infer("tiny", features(np.zeros((1, 4), dtype=np.float32)), outputs=outputs(name))


def test_they_are_computed_for_who_names_them_alone(song_models: Path) -> None:
    class Noting(Observer):
        def __init__(self) -> None:
            self.searched: list[bool] = []

        def answered(self, served: Any, rows: Any, answer: Any) -> None:
            self.searched.append(answer.neighbors is not None)

    with running_server(song_models) as running, triton.InferenceServerClient(f"127.0.0.1:{running.port}") as client:
        noting = Noting()
        assert running.server is not None
        running.server.observers.add(noting)
        for names in ((), ("probabilities.knn",), ("novelty",), ("neighbor_labels", "label")):
            client.infer("songs", features(ROWS[:3]), outputs=outputs(*names) or None)
    assert noting.searched == [False, False, True, True]


def test_an_answer_that_would_be_too_large_is_refused(client: Any) -> None:
    rows = np.tile(ROWS, (100, 1))
    client.infer("songs", features(rows), outputs=outputs("novelty"))
    with pytest.raises(InferenceServerException, match="the answer would have"):
        client.infer("songs", features(rows), outputs=outputs(*NAMED))
