"""Compressed requests: answered as others are, and never decompressed further than their limit."""

import asyncio
import gzip
import zlib
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from server.running.live import Running
from server.test_command import batch
from support.network.frames import Wire, message

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.v1 import model_pb2, prediction_pb2
from genrestack_server.errors import InvalidInput, MessageTooLarge
from genrestack_server.service.compression import decompressed, is_compressed

PACKED = [grpc.Compression.Deflate, grpc.Compression.Gzip]
PREDICT = "/genrestack.v1.PredictionService/Predict"
MIB = 2**20


@pytest.mark.parametrize("compression", PACKED)
def test_answers_are_the_same(tiny_server: Running, compression: grpc.Compression) -> None:
    for rows in (1, 900):
        plain = tiny_server.stub.Predict(batch(rows))
        assert tiny_server.stub.Predict(batch(rows), compression=compression) == plain
        streamed = tiny_server.stub.PredictStream(iter([batch(rows)] * 3), compression=compression)
        assert [answer.response for answer in streamed] == [plain] * 3


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_somebody_elses_client_compresses(tiny_server: Running, algorithm: str) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
        tensor = triton.InferInput("features", [200, 4], "FP64")
        tensor.set_data_from_numpy(np.zeros((200, 4)))
        answer: Any = client.infer("tiny", [tensor], compression_algorithm=algorithm)
        assert answer.as_numpy("label").shape == (200,)


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("over", [1, 50 * MIB])
def test_the_limit_is_that_of_the_decompressed_message(
    tiny_server: Running, compression: grpc.Compression, over: int
) -> None:
    data = _padded(MIB)
    call: Any = tiny_server.channel.unary_unary(PREDICT)
    assert len(prediction_pb2.PredictResponse.FromString(call(data, compression=compression)).labels) == 1
    with pytest.raises(grpc.RpcError, match="larger than max") as caught:
        call(_padded(MIB + over), compression=compression)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    stream: Any = tiny_server.channel.stream_stream("/genrestack.v1.PredictionService/PredictStream")
    with pytest.raises(grpc.RpcError, match="larger than max"):
        list(stream(iter([_padded(MIB + over)]), compression=compression))


def _padded(size: int) -> bytes:
    """A valid request of exactly this many bytes: a field that nobody knows fills it up."""
    request = batch(1).SerializeToString()
    tag = b"\xfa\x7f"  # field 2047, bytes
    left = size - len(request) - len(tag) - 4
    length = bytes([left >> shift & 127 | (0 if shift == 21 else 128) for shift in (0, 7, 14, 21)])
    return request + tag + length + bytes(left)


@pytest.mark.parametrize("bits", [31, 15])
def test_decompresses_what_one_stream_holds(bits: int) -> None:
    text = b"rock " * 50_000
    packer = zlib.compressobj(wbits=bits)
    data = packer.compress(text) + packer.flush()
    assert asyncio.run(decompressed(data, len(text))) == text
    with pytest.raises(MessageTooLarge, match=r"larger than max \(249,999 bytes"):
        asyncio.run(decompressed(data, len(text) - 1))
    for broken in (data[:-1], data + b"\0", data + data, data[:2], data[:20] + b"\xff" * 40 + data[60:]):
        with pytest.raises(InvalidInput):
            asyncio.run(decompressed(broken, len(text) * 3))


def test_no_plain_request_looks_compressed() -> None:
    """What tells the two apart is a first byte that no request of a service here has."""
    modules: Any = (prediction_pb2, model_pb2, oip, health_pb2, reflection_pb2)
    kinds = [kind for module in modules for kind in module.DESCRIPTOR.message_types_by_name.values()]
    requests = [kind for kind in kinds if kind.name.endswith("Request")]
    assert len(requests) > 15
    assert all(field.number < 15 for kind in requests for field in kind.fields)
    assert not is_compressed(b"")
    assert not is_compressed(b"\x78")
    assert is_compressed(gzip.compress(b""))
    assert is_compressed(zlib.compress(b""))


@pytest.mark.parametrize("body", [b"\x1f\x8b", b"\x78\x9c", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x78\x9c\0\0\xff\xff"])
@pytest.mark.parametrize("packed", [True, False])
def test_half_a_compressed_message_is_refused(tiny_server: Running, body: bytes, packed: bool) -> None:
    with Wire(f"127.0.0.1:{tiny_server.port}") as wire:
        extra = [(b"grpc-encoding", b"gzip")]
        assert wire.until_ended(wire.call(PREDICT, message(body, packed=packed), extra=extra))
    assert len(tiny_server.stub.Predict(batch(1)).labels) == 1
