"""Requests that cannot be answered, sent over the port."""

import math
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tools.bad_input.finding import Finding
from tools.bad_input.world import FEATURES, World

TITLE = "Asking a server, over the port"
_WAIT_S = 60
_BYTES = 4


def walk(world: World) -> Iterator[Finding]:
    """Send each of them to a server with one model, and some to one with two."""
    import grpc

    shutil.copytree(world.folder / "models", world.folder / "two")
    shutil.copytree(world.folder / "models" / "digits", world.folder / "two" / "gtzan")
    room = [("grpc.max_send_message_length", -1)]
    with (
        world.serving("models", "--max-message-mib", 1, "--max-rows", 1000) as server,
        grpc.insecure_channel(server.address, room) as channel,
    ):
        yield from _requests(channel)
        yield from _bytes(channel)
        yield _stream(channel)
    with world.serving("two") as server, grpc.insecure_channel(server.address) as channel:
        yield _predict(channel, "No model named, where there are two", "1 row, no model", rows=_matrix(1))


def _requests(channel: Any) -> Iterator[Finding]:
    from genrestack_proto.v1.prediction_pb2 import Matrix

    nan, inf = _matrix(3, {(1, 5): math.nan}), _matrix(3, {(0, 0): math.inf, (2, 6): -math.inf})
    swapped, unknown, doubled = list(FEATURES), [*FEATURES[:-1], "pixel_46b"], [*FEATURES[:-1], "pixel_3"]
    swapped.pop()
    raw = _matrix(2).raw
    for title, text, fields in (
        ("A column too few", "2 rows of 63 columns", {"rows": Matrix(shape=[2, 63], raw=bytes(2 * 63 * _BYTES))}),
        ("A name too few", "63 names", {"rows": _matrix(1), "feature_names": swapped}),
        ("An unknown name", "a name pixel_46b", {"rows": _matrix(1), "feature_names": unknown}),
        ("A name twice", "the name pixel_3 twice", {"rows": _matrix(1), "feature_names": doubled}),
        ("NaN", "3 rows, one NaN", {"rows": nan}),
        ("Infinity", "3 rows, two of them with an infinite value", {"rows": inf}),
        ("No rows field", "an empty request", {}),
        ("Zero rows", "shape (0, 64)", {"rows": Matrix(shape=[0, 64])}),
        ("A flat shape", "shape (128,)", {"rows": Matrix(shape=[128], raw=raw)}),
        (
            "A shape that does not match its bytes",
            "shape (3, 64), bytes of 2 rows",
            {"rows": Matrix(shape=[3, 64], raw=raw)},
        ),
        (
            "A shape that does not match its values",
            "shape (1, 64), 2 values",
            {"rows": Matrix(shape=[1, 64], values=[1, 2])},
        ),
        ("Bytes and values", "rows in both forms", {"rows": Matrix(shape=[2, 64], raw=raw, values=[1.0] * 128)}),
        ("An unknown model", 'model "gtzan"', {"rows": _matrix(1), "model": "gtzan"}),
        ("An unknown version", "version 9", {"rows": _matrix(1), "model": "digits", "version": 9}),
        ("A version without a model", "version 9, no model", {"rows": _matrix(1), "version": 9}),
        ("Too many rows", "1,001 rows, --max-rows 1000", {"rows": _matrix(1001)}),
    ):
        yield _predict(channel, title, text, **fields)


def _bytes(channel: Any) -> Iterator[Finding]:
    raw = channel.unary_unary("/genrestack.v1.PredictionService/Predict")
    model = channel.unary_unary("/genrestack.v1.PredictionService/GetModel")
    unknown = channel.unary_unary("/genrestack.v1.PredictionService/Train")
    mib = 2**20
    for title, text, ask, data in (
        ("Too many bytes", "1.5 MiB, --max-message-mib 1", raw, bytes(mib * 3 // 2)),
        ("Bytes that are not a message", "the bytes 'GET / HTTP/1.1'", raw, b"GET / HTTP/1.1"),
        ("Bytes that are not a message", "GetModel of the bytes ff ff", model, b"\xff\xff"),
        ("A method that is not there", "Train", unknown, b""),
    ):
        shown = f"Predict({text})" if ask is raw else text
        yield _asked(title, shown, partial(ask, data, timeout=_WAIT_S))


def _stream(channel: Any) -> Finding:
    from genrestack_proto.v1.prediction_pb2 import PredictRequest
    from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

    items = [_matrix(1), _matrix(1, {(0, 2): math.nan}), _matrix(1)]
    requests = iter([PredictRequest(rows=rows) for rows in items])
    answers = list(PredictionServiceStub(channel).PredictStream(requests, timeout=_WAIT_S))
    kinds = [answer.WhichOneof("outcome") for answer in answers]
    if kinds != ["response", "error", "response"]:
        raise RuntimeError(f"the stream did not go on: {kinds}")
    status = answers[1].error
    return Finding(
        "A bad item in a stream, which goes on", "PredictStream(a good batch, one with NaN, a good one)",
        f"item 1: {_code(status.code)}", status.message, _violations(status),
    )  # fmt: skip


def _predict(channel: Any, title: str, text: str, **fields: Any) -> Finding:
    from genrestack_proto.v1.prediction_pb2 import PredictRequest
    from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

    stub = PredictionServiceStub(channel)
    return _asked(title, f"Predict({text})", lambda: stub.Predict(PredictRequest(**fields), timeout=_WAIT_S))


def _asked(title: str, text: str, ask: Callable[[], object]) -> Finding:
    import grpc
    from google.rpc import status_pb2

    try:
        ask()
    except grpc.RpcError as caught:
        error: Any = caught
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        status = status_pb2.Status.FromString(details)
        return Finding(title, text, error.code().name, error.details(), _violations(status))
    return Finding(title, text, "OK", "answered")


def _violations(status: Any) -> tuple[tuple[str, str], ...]:
    from google.rpc import error_details_pb2

    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(bad)
    return tuple((violation.field, violation.description) for violation in bad.field_violations)


def _code(number: int) -> str:
    import grpc

    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def _matrix(rows: int, spoilt: dict[tuple[int, int], float] | None = None) -> Any:
    import numpy as np

    from genrestack_proto.matrix import to_matrix

    values = np.ones((rows, len(FEATURES)), dtype=np.float32)
    for place, value in (spoilt or {}).items():
        values[place] = value
    return to_matrix(values)
