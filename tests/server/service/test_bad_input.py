"""Every bad request gets the status and the field that say what is wrong with it."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from server.bundles.tiny import FEATURES, draw_rows
from server.running.live import Running, RunServer, details

from genrestack import Client
from genrestack.errors import ResourceExhausted
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, Matrix, PredictRequest

GOOD = draw_rows(4)


def spoilt(row: int, column: int, value: float) -> Matrix:
    rows = GOOD.copy()
    rows[row, column] = value
    return to_matrix(rows)


def named(*names: str) -> PredictRequest:
    return PredictRequest(rows=to_matrix(GOOD), feature_names=names)


RAW = GOOD.tobytes()
CASES: dict[str, tuple[PredictRequest, str, str]] = {
    "no rows": (PredictRequest(), "rows", "there are none; send float32 as rows.raw"),
    "nothing in rows": (PredictRequest(rows=Matrix()), "rows.shape", "expected two numbers"),
    "flat": (PredictRequest(rows=Matrix(shape=[16], raw=RAW)), "rows.shape", "there are 1"),
    "cube": (PredictRequest(rows=Matrix(shape=[2, 2, 4], raw=RAW)), "rows.shape", "there are 3"),
    "zero rows": (PredictRequest(rows=Matrix(shape=[0, 4])), "rows.shape", "at least one row"),
    "too few columns": (PredictRequest(rows=to_matrix(GOOD[:, :3])), "rows.shape", "3 columns, but tiny/2 takes 4"),
    "one column": (PredictRequest(rows=to_matrix(GOOD[:, :1])), "rows.shape", "1 column, but"),
    "no columns": (PredictRequest(rows=Matrix(shape=[4_000_000_000, 0])), "rows.shape", "--max-rows"),
    "no columns, few rows": (PredictRequest(rows=Matrix(shape=[4, 0])), "rows.shape", "0 columns"),
    "shape without data": (PredictRequest(rows=Matrix(shape=[4, 4])), "rows.raw", "64 bytes of float32, but 0 came"),
    "too few bytes": (PredictRequest(rows=Matrix(shape=[4, 4], raw=RAW[:-1])), "rows.raw", "but 63 came"),
    "doubles": (
        PredictRequest(rows=Matrix(shape=[4, 4], raw=GOOD.astype(np.float64).tobytes())),
        "rows.raw",
        "but 128 came",
    ),
    "too many values": (PredictRequest(rows=Matrix(shape=[1, 4], values=[1] * 5)), "rows.values", "but 5 came"),
    "both forms": (
        PredictRequest(rows=Matrix(shape=[4, 4], raw=RAW, values=GOOD.ravel().tolist())),
        "rows.values",
        "send one of the two",
    ),
    "NaN": (PredictRequest(rows=spoilt(3, 2, np.nan)), "rows[3].tempo", "feature 'tempo' of row 3 is NaN"),
    "infinite": (PredictRequest(rows=spoilt(0, 0, -np.inf)), "rows[0].chroma", "is infinite"),
    "more rows than the limit": (PredictRequest(rows=to_matrix(draw_rows(1001))), "rows.shape", "--max-rows"),
    "names for some columns": (named("tempo", "rms"), "feature_names", "2 names for 4 columns"),
    "unknown name": (named("chroma", "rms", "temp", "zero_crossing"), "feature_names[2]", "did you mean 'tempo'?"),
    "doubled name": (
        named("chroma", "rms", "rms", "tempo"),
        "feature_names[2]",
        "duplicate feature name 'rms' (also column 1)",
    ),
    "missing name": (named("chroma", "rms", "rms", "tempo"), "feature_names", "missing: 'zero_crossing'"),
    "unprintable name": (named("a\n\x00", *FEATURES[1:]), "feature_names[0]", r"'a\n\x00'"),
}


def refused(running: Running, request: PredictRequest) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        running.stub.Predict(request, timeout=20)
    return caught.value


@pytest.mark.parametrize("case", CASES)
def test_names_the_field(tiny_server: Running, case: str) -> None:
    request, field, text = CASES[case]
    error = refused(tiny_server, request)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    found = details(error)
    assert [description for name, description in found if name == field and text in description], found
    assert found[0][1] in str(error.details())


def test_reports_the_first_few_and_the_total(tiny_server: Running) -> None:
    rows = np.full((3, 4), np.nan, dtype=np.float32)
    error = refused(tiny_server, PredictRequest(rows=to_matrix(rows)))
    assert [field for field, _ in details(error)] == [
        "rows[0].chroma", "rows[0].rms", "rows[0].tempo", "rows[0].zero_crossing", "rows[1].chroma",
    ]  # fmt: skip
    assert str(error.details()).endswith("(and 11 more)")


def test_a_reordered_column_is_named_by_its_name(tiny_server: Running) -> None:
    names = ("tempo", "chroma", "rms", "zero_crossing")
    error = refused(tiny_server, PredictRequest(rows=spoilt(1, 0, np.nan), feature_names=names))
    assert details(error)[0][0] == "rows[1].tempo"


def test_hostile_names_fit_into_the_trailers(tiny_server: Running) -> None:
    names = [chr(0x1F600 + number) * 5000 for number in range(4)]
    error = refused(tiny_server, named(*names))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(error)


@pytest.mark.parametrize("payload", [b"\xff" * 50, b"\x1a\x05abc"])
def test_bytes_that_are_no_message(tiny_server: Running, payload: bytes) -> None:
    call: Any = tiny_server.channel.unary_unary("/genrestack.v1.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        call(payload)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, caught.value


def test_a_message_over_the_limit(tiny_server: Running) -> None:
    """The setting's limit is gRPC's own: to the byte, packed or not."""
    frame = len(of_bytes(2**20 - 100).SerializeToString()) - (2**20 - 100)
    fits = of_bytes(2**20 - frame)
    assert fits.ByteSize() == 2**20
    assert refused(tiny_server, fits).code() == grpc.StatusCode.INVALID_ARGUMENT
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        for size in (2**20 - frame + 1, 5 * 2**20):
            with pytest.raises(grpc.RpcError, match="larger than max") as caught:
                tiny_server.stub.Predict(of_bytes(size), compression=compression)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_client_names_the_setting_of_the_limit(tiny_server: Running) -> None:
    with Client(f"127.0.0.1:{tiny_server.port}") as client, pytest.raises(ResourceExhausted, match="--max-message-mib"):
        client.predict(np.zeros((1, 2**19), np.float32))


def of_bytes(size: int) -> PredictRequest:
    return PredictRequest(rows=Matrix(shape=[1, 4], raw=b"\0" * size))


def test_an_answer_over_the_limit(tiny_models: Path, run_server: RunServer) -> None:
    request = PredictRequest(rows=to_matrix(draw_rows(60_000)), base=True)
    with run_server(tiny_models, max_message_mib=1) as running:
        ((field, text),) = details(refused(running, request))
    assert field == "rows.shape"
    assert "the answer would have 2.8 MiB" in text


@pytest.mark.parametrize(
    ("model", "version", "text"),
    [
        ("rock", 0, "there is no model 'rock' here; served: tiny"),
        ("tiny", 1, "model 'tiny' has no version 1 here; served: 2"),
        ("", 7, "model 'tiny' has no version 7 here; served: 2"),
        ("x" * 10_000, 0, "…' here; served: tiny"),
    ],
)
def test_unknown_model_or_version(tiny_server: Running, model: str, version: int, text: str) -> None:
    error = refused(tiny_server, PredictRequest(model=model, version=version, rows=to_matrix(GOOD)))
    with pytest.raises(grpc.RpcError) as caught:
        tiny_server.stub.GetModel(GetModelRequest(model=model, version=version))
    for refusal in (error, caught.value):
        assert refusal.code() == grpc.StatusCode.NOT_FOUND
        assert text in str(refusal.details())
