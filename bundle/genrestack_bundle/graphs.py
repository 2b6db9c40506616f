"""What an ONNX graph may hold before it is handed to onnxruntime."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from genrestack_bundle.errors import BundleError

if TYPE_CHECKING:
    from onnx import ModelProto

_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}


def parse_graph(file: str, data: bytes) -> "ModelProto":
    """Read a serialised ONNX model.

    Raises:
        BundleError: the bytes are no ONNX model, or one without operators.

    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise BundleError(f"{file} is not an ONNX model; export the model again") from error
    if not model.graph.node:
        raise BundleError(f"{file} is not an ONNX model; export the model again")
    return model


def check_graph(file: str, data: bytes, *, opset: int, ml_opset: int) -> None:
    """Refuse an ONNX model that reads other files, brings operators of its own, or means others than the manifest.

    Raises:
        BundleError: the file is not an ONNX model, keeps tensors outside it, uses an operator domain or a version of
            one that the manifest does not announce, or holds functions.

    """
    model = parse_graph(file, data)
    if model.functions:
        raise BundleError(f"{file} brings functions of its own; a bundle holds standard operators only")
    for message in _messages(model):
        kind = message.DESCRIPTOR.name
        if kind == "TensorProto" and (message.external_data or message.data_location):
            raise BundleError(f"{file} keeps tensors in other files; export the model again")
        if kind == "NodeProto" and message.domain not in _DOMAINS:
            raise BundleError(f"{file} uses operators that stock onnxruntime does not have; export the model again")
        if any(isinstance(text, bytes) for text in _texts(message)):
            raise BundleError(f"{file} holds names that are not text; export the model again")
    announced = {"": opset, "ai.onnx": opset, "ai.onnx.ml": ml_opset}
    for found in model.opset_import:
        if found.domain in announced and found.version != announced[found.domain]:
            raise BundleError(
                f"{file} is written in version {found.version} of the operators {found.domain or 'ai.onnx'}, the "
                f"manifest says {announced[found.domain]}; export the model again"
            )


def _messages(message: Any) -> Iterator[Any]:
    """Walk over a message and every message in it; the parser bounds how deep they lie."""
    yield message
    for field, values in _fields(message):
        if field.type == field.TYPE_MESSAGE:
            for inner in values:
                yield from _messages(inner)


def _texts(message: Any) -> Iterator[str | bytes]:
    """Strings of a message; protobuf hands out as bytes what is no UTF-8."""
    for field, values in _fields(message):
        if field.type == field.TYPE_STRING:
            yield from values


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """Fields that are set, each with a sequence of values."""
    for field, value in message.ListFields():
        # protobuf 6.31 and later say it directly, and warn of the label that older ones have.
        many = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        yield field, value if many else (value,)
