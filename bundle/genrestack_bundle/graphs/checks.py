"""What an ONNX graph may hold before it is handed to onnxruntime."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from genrestack_bundle.errors import BundleError
from genrestack_bundle.graphs.messages import TENSOR_TYPES
from genrestack_bundle.layout import MAX_GRAPH_FIELDS, MAX_NODES
from genrestack_proto.onnx.onnx_pb2 import ModelProto
from genrestack_proto.wire import holds_more_fields

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_VALUES = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def parse_graph(file: str, data: bytes) -> ModelProto:
    """Read a serialised ONNX model.

    Raises:
        BundleError: the bytes are not an ONNX model, or it has no operators or more fields than any export writes.

    """
    if holds_more_fields(data, ModelProto, MAX_GRAPH_FIELDS):
        raise BundleError(f"{file} has more than {MAX_GRAPH_FIELDS} fields; export the model again")
    try:
        model = ModelProto.FromString(data)
    except DecodeError as error:
        raise BundleError(f"{file} is not an ONNX model; export the model again") from error
    if not model.graph.node:
        raise BundleError(f"{file} is not an ONNX model; export the model again")
    return model


def check_graph(file: str, data: bytes, *, opset: int, ml_opset: int) -> None:
    """Reject an ONNX model that reads other files, brings operators of its own, or means others than the manifest.

    Raises:
        BundleError: the file is not an ONNX model, keeps tensors outside it, or tensors that are not as large as they
            say or whose values lie where their type has none, uses an operator domain or a version of one that the
            manifest does not announce, or holds functions.

    """
    model = parse_graph(file, data)
    if model.functions:
        raise BundleError(f"{file} brings functions of its own; a bundle holds standard operators only")
    nodes = 0
    for message in _messages(model):
        nodes += _check_message(file, message)
        if nodes > MAX_NODES:
            raise BundleError(f"{file} has more than {MAX_NODES} operators; export the model again")
    announced = {"": opset, "ai.onnx": opset, "ai.onnx.ml": ml_opset}
    for found in model.opset_import:
        if found.domain in announced and found.version != announced[found.domain]:
            raise BundleError(
                f"{file} is written in version {found.version} of the operators {found.domain or 'ai.onnx'}, the "
                f"manifest says {announced[found.domain]}; export the model again"
            )


def _check_message(file: str, message: Any) -> bool:
    """Check one message of a model, without those in it; return whether it is an operator."""
    kind = message.DESCRIPTOR.name
    if kind == "TensorProto":
        _check_tensor(file, message)
    if kind == "SparseTensorProto":
        raise BundleError(f"{file} holds sparse tensors; export the model again")
    if kind == "NodeProto" and message.domain not in _DOMAINS:
        raise BundleError(f"{file} uses operators that stock onnxruntime does not have; export the model again")
    if any(isinstance(text, bytes) for text in _texts(message)):
        raise BundleError(f"{file} holds names that are not text; export the model again")
    return bool(kind == "NodeProto")


def _check_tensor(file: str, tensor: Any) -> None:
    """Reject a tensor whose values lie elsewhere, or are not as many as its shape says."""
    if tensor.external_data or tensor.data_location:
        raise BundleError(f"{file} keeps tensors in other files; export the model again")
    kind = TENSOR_TYPES.get(tensor.data_type)
    if kind is None:
        raise BundleError(f"{file} holds tensors of a type that no export writes; export the model again")
    if tensor.string_data:
        _check_texts(file, tensor.string_data)
    raw, rest = divmod(len(tensor.raw_data), kind.dtype.itemsize)
    held = {field: count for field in _VALUES if (count := len(getattr(tensor, field)))}
    if rest or any(n < 0 for n in tensor.dims) or math.prod(tensor.dims) != raw + sum(held.values()):
        raise BundleError(f"{file} holds a tensor of another size than its shape says; export the model again")
    if held.keys() - {kind.field} or (raw and (held or kind.text)):
        raise BundleError(f"{file} holds a tensor whose values lie where its type has none; export the model again")


def _check_texts(file: str, values: Iterable[bytes]) -> None:
    """Reject texts that onnxruntime could not hand out."""
    try:
        for value in values:
            value.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{file} holds names that are not text; export the model again") from error


def _messages(message: Any) -> Iterator[Any]:
    """Walk over a message and every message in it; the parser bounds how deep they lie."""
    yield message
    for field, values in _fields(message):
        if field.type == field.TYPE_MESSAGE:
            for inner in values:
                yield from _messages(inner)


def _texts(message: Any) -> Iterator[str | bytes]:
    """Strings of a message; protobuf hands out as bytes what is not UTF-8."""
    for field, values in _fields(message):
        if field.type == field.TYPE_STRING:
            yield from values


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """Fields that are set, each with a sequence of values."""
    for field, value in message.ListFields():
        # protobuf 6.31 and later say it directly, and warn of the label that older ones have.
        many = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        yield field, value if many else (value,)
