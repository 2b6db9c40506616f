"""From the messages that answer gRPC's callers to JSON, and to bytes after it."""

import math
import struct
from typing import Any, Final

import numpy as np
from google.protobuf.message import Message

from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.http.codec.requests import AnswerForm
from genrestack_server.http.exchange import JSON, Response
from genrestack_server.http.json_text import to_json
from genrestack_server.service.oip.requests import Wanted
from genrestack_server.service.oip.tensors import NUMBERS, bytes_a_row, layout

_BINARY: Final = "application/octet-stream"
_LENGTH: Final = struct.Struct("<I")
# A float32 or float64 as JSON has it, exactly, and a comma; an index of up to eight digits; quotes and a comma around
# a label.
_FLOAT_CHARACTERS: Final = 25
_INDEX_CHARACTERS: Final = 9
_LABEL_FRAME: Final = 3


def encode(response: pb.ModelInferResponse, form: AnswerForm, headers: dict[str, str]) -> Response:
    """Return the response of an answer whose outputs are all bytes.

    Args:
        response: with `raw_output_contents`.
        form: which of them stay bytes.
        headers: others than its own.

    """
    outputs, binary = [], []
    for tensor, data in zip(response.outputs, response.raw_output_contents, strict=True):
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if form.is_binary(tensor.name):
            output["parameters"] = {"binary_data_size": len(data)}
            binary.append(data)
        else:
            output["data"] = _values(tensor.datatype, data)
        outputs.append(output)
    document: dict[str, Any] = {"model_name": response.model_name, "model_version": response.model_version}
    if response.id:
        document["id"] = response.id
    text = to_json(document | {"outputs": outputs})
    if not binary:
        return Response(200, [text], headers=headers)
    own = {"Inference-Header-Content-Length": str(len(text))}
    return Response(200, [text, *binary], _BINARY, headers | own)


def json_bytes(wanted: Wanted, form: AnswerForm) -> int:
    """Return about how many bytes an answer has at most."""
    return len(wanted.rows) * sum(_row_bytes(name, wanted, form) for name in wanted.outputs)


def document_of(message: Message) -> dict[str, Any]:
    """Return a message as JSON has it: every field, 64-bit numbers as numbers."""
    return {field.name: _value(getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


def respond_with(document: Any, headers: dict[str, str], status: int = 200) -> Response:
    """Return a response of JSON."""
    return Response(status, [to_json(document)], JSON, headers)


def _row_bytes(output: str, wanted: Wanted, form: AnswerForm) -> int:
    if form.is_binary(output):
        return bytes_a_row(output, wanted.served)
    datatype, columns = layout(output, wanted.served)
    text = wanted.served.label_bytes + _LABEL_FRAME
    return math.prod(columns) * {"BYTES": text, "INT64": _INDEX_CHARACTERS}.get(datatype, _FLOAT_CHARACTERS)


def _values(datatype: str, data: bytes) -> list[Any]:
    if datatype in NUMBERS:
        found = np.frombuffer(data, NUMBERS[datatype])
        # A distance from far outside may be too large for float64, for which JSON has no word.
        finite = datatype != "FP64" or np.isfinite(found).all()
        values: list[Any] = found.tolist()
        return values if finite else [value if math.isfinite(value) else None for value in values]
    return _texts(data)


def _texts(data: bytes) -> list[str]:
    """Read a BYTES tensor: each text behind its length."""
    found, start = [], 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        end = start + _LENGTH.size + length
        found.append(data[start + _LENGTH.size : end].decode())
        start = end
    return found


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        return document_of(value)
    if isinstance(value, str | int | float):
        return value
    if hasattr(value, "items"):
        return {key: _value(each) for key, each in value.items()}
    return [_value(each) for each in value]
