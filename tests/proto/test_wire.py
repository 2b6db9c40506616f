"""Fields are counted on the wire as the parser would find them, whatever the bytes."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.v1.model_pb2 import Feature, Model, Part
from genrestack_proto.v1.prediction_pb2 import Matrix, PredictRequest
from genrestack_proto.wire import holds_more_fields

KINDS: list[type[Message]] = [PredictRequest, Model, oip.ModelInferRequest]


def fields(data: bytes, kind: type[Message]) -> int:
    """How many fields are counted; fewer than half as many as there are bytes are never in question."""
    return next(n for n in range(len(data) // 2, 0, -1) if n == 1 or holds_more_fields(data, kind, n - 1))


def varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])


def inside(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


NAMES = PredictRequest(feature_names=[""] * 40).SerializeToString()
PARTS = Model(parts=[Part(parameters={"a": "", "b": ""})] * 3, features=[Feature()] * 40).SerializeToString()


@pytest.mark.parametrize(
    ("data", "kind", "count"),
    [
        (NAMES, PredictRequest, 40),
        (PARTS, Model, 40 + 3 * (1 + 2 * (1 + 2))),
        (Matrix(shape=[300] * 50, values=[0.5] * 50).SerializeToString(), Matrix, 2),
        # The same numbers one by one, as older writers have them.
        (b"\x08\x85\x01" * 30 + b"\x1d\0\0\0\0" * 30, Matrix, 2),
        (b"\x08\x85\x01\x1d\0\0\0\0" * 30, Matrix, 60),
        # Fields that nobody knows: numbers, fixed numbers, groups, bytes.
        (b"\xf8\x01\x05" * 30, Matrix, 30),
        (b"\xf9\x01" + bytes(8), Matrix, 1),
        (b"\xfb\x01\xfc\x01" * 20, Matrix, 40),
        (b"\xfa\x01\x01a" * 20, Matrix, 20),
    ],
)
def test_fields_are_counted(data: bytes, kind: type[Message], count: int) -> None:
    kind.FromString(data)
    assert fields(data, kind) == count
    assert not holds_more_fields(data, kind, count)


@pytest.mark.parametrize("broken", [b"\x07", b"\x0a\x7f", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80"])
def test_what_comes_before_a_break_is_counted(broken: bytes) -> None:
    """The parser makes all of it before it gives up."""
    whole = inside(6, b"\x0a\0" * 50)
    data = Model(parts=[Part()] * 10).SerializeToString() + whole + broken
    with pytest.raises(DecodeError):
        Model.FromString(data)
    assert holds_more_fields(data, Model, 55)


@pytest.mark.parametrize("kind", KINDS)
@given(st.binary(max_size=300), st.integers(0, 20))
def test_any_bytes_have_an_end(kind: type[Message], data: bytes, most: int) -> None:
    found = holds_more_fields(data, kind, most)
    assert found or not holds_more_fields(data, kind, most + 1)
    assert not holds_more_fields(data, kind, len(data))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "run", [b"\x32\0", b"\x08\x80", b"\x08" + b"\xff" * 9, b"\xf8\x01\0", b"\x0a\x80" + b"\xff" * 8, b"\xfb\x01"]
)
def test_a_long_message_costs_no_more_than_its_bound(run: bytes) -> None:
    data = run * (2**26 // len(run))
    kinds: list[Any] = [*KINDS, Matrix]
    for kind in kinds:
        holds_more_fields(data, kind, 1000)
