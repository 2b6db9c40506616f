"""From a request of the protocol to rows and outputs, or to the fields at fault. Pure functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack_common.text import counted, listed, quoted
from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_proto.matrix import FloatMatrix
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import InvalidInput, Violation
from genrestack_server.inference.validation import (
    MAX_VIOLATIONS,
    check_answer_bytes,
    check_columns,
    check_finite,
    check_row_count,
)
from genrestack_server.models.registry import ServedModel
from genrestack_server.service.oip.parameters import refuse_classification, refuse_shared_memory
from genrestack_server.service.oip.tensors import DEFAULT_OUTPUTS, FEATURES, FLOATS, SEARCHED, bytes_a_row, output_names

_TYPED: Final = {"FP32": "fp32_contents", "FP64": "fp64_contents"}
_CONTENTS: Final = tuple(pb.InferTensorContents.DESCRIPTOR.fields_by_name)
# The largest version number is one of ten digits.
_MAX_DIGITS: Final = 10

_Values = npt.NDArray[np.floating]
InferInput = pb.ModelInferRequest.InferInputTensor


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for."""

    served: ServedModel
    rows: FloatMatrix
    """Shape (n, f), contiguous; finite, or NaN where the model accepts missing values."""
    outputs: tuple[str, ...]
    """In the order of the answer."""
    raw: bool
    """Whether the rows came as bytes, so that the answer goes as bytes."""
    id: str
    """The caller's own; goes back."""


def version_number(text: str) -> int:
    """Read a version, a whole number in digits; empty means the newest, 0.

    Raises:
        InvalidInput: it is something else.

    """
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and int(text)):
        raise InvalidInput.of(
            "model_version",
            f"{quoted(text)} is not a version; versions are whole numbers from 1 on, and empty means the newest",
        )
    return int(text)


def read(request: pb.ModelInferRequest, served: ServedModel, config: ServerConfig) -> Wanted:
    """Check a request against the version that answers it.

    Raises:
        InvalidInput: naming every field at fault, the first few in detail.

    """
    outputs = _outputs(request, served)
    tensor = _input(request)
    _check_shape(tensor, served, config)
    size = sum(bytes_a_row(name, served) for name in outputs) * tensor.shape[0] + len(request.id)
    check_answer_bytes(size, "inputs[0].shape", config)
    raw = bool(request.raw_input_contents)
    values = _raw_values(request, tensor) if raw else _typed_values(tensor)
    rows = _as_float32(values.reshape(tuple(tensor.shape)))
    check_finite(rows, served.feature_names, served.missing_features)
    searching = served.searching if SEARCHED.intersection(outputs) else None
    return Wanted(searching or served, rows, outputs, raw, request.id)


def _outputs(request: pb.ModelInferRequest, served: ServedModel) -> tuple[str, ...]:
    if not request.outputs:
        return DEFAULT_OUTPUTS
    known = dict.fromkeys(output_names(served))
    if len(request.outputs) > len(known):
        text = f"{counted(len(request.outputs), 'output')}, but {served.title} has {len(known)}: {listed(known)}"
        raise InvalidInput.of("outputs", f"{text}; name each once")
    names = [output.name for output in request.outputs]
    wrong = list(_wrong_outputs(names, known, served))
    if wrong:
        raise InvalidInput(wrong[:MAX_VIOLATIONS], len(wrong))
    for position, output in enumerate(request.outputs):
        refuse_shared_memory(output.parameters, f"outputs[{position}]")
        refuse_classification(output.parameters, f"outputs[{position}]")
    return tuple(names)


def _wrong_outputs(names: list[str], known: dict[str, None], served: ServedModel) -> Iterator[Violation]:
    seen = set[str]()
    for position, name in enumerate(names):
        if name not in known:
            text = f"{served.title} has no output {quoted(name)}; it has {listed(known)}"
            yield Violation(f"outputs[{position}].name", text)
        elif name in seen:
            yield Violation(f"outputs[{position}].name", f"{quoted(name)} is named twice; name it once")
        seen.add(name)


def _input(request: pb.ModelInferRequest) -> InferInput:
    """Find the one input, of a datatype that can be taken."""
    if not request.inputs:
        raise InvalidInput.of("inputs", f"there are none; send {FEATURES!r}, of shape (rows, columns)")
    for position, tensor in enumerate(request.inputs[:2]):
        if tensor.name != FEATURES:
            text = f"there is no input {quoted(tensor.name)}; the one input is {FEATURES!r}"
            raise InvalidInput.of(f"inputs[{position}].name", text)
    if len(request.inputs) > 1:
        raise InvalidInput.of("inputs[1].name", f"{FEATURES!r} is sent twice; send all rows in one tensor")
    tensor = request.inputs[0]
    if tensor.datatype not in FLOATS:
        text = f"{quoted(tensor.datatype)} is not taken; send {FEATURES!r} as FP32 or FP64"
        raise InvalidInput.of("inputs[0].datatype", text)
    refuse_shared_memory(tensor.parameters, "inputs[0]")
    return tensor


def _check_shape(tensor: InferInput, served: ServedModel, config: ServerConfig) -> None:
    field = "inputs[0].shape"
    if len(tensor.shape) != 2:
        text = f"expected two numbers, (rows, columns), but there are {len(tensor.shape)}"
        raise InvalidInput.of(field, text)
    rows, columns = tensor.shape
    if min(rows, columns) < 0:
        text = f"({rows}, {columns}) has a negative number; send the numbers of rows and columns that are there"
        raise InvalidInput.of(field, text)
    check_row_count(rows, field, config)
    check_columns(columns, served, field)


def _raw_values(request: pb.ModelInferRequest, tensor: InferInput) -> _Values:
    # MLServer sends the message, empty, beside the bytes.
    if tensor.contents.ListFields():
        text = "the values came in raw_input_contents too; send one of the two"
        raise InvalidInput.of("inputs[0].contents", text)
    if len(request.raw_input_contents) != 1:
        text = f"{counted(len(request.raw_input_contents), 'element')} for 1 input; send one element for each input"
        raise InvalidInput.of("raw_input_contents", text)
    data, dtype = request.raw_input_contents[0], FLOATS[tensor.datatype]
    expected = tensor.shape[0] * tensor.shape[1] * dtype.itemsize
    if len(data) != expected:
        text = f"shape {_pair(tensor)} means {expected} bytes of {tensor.datatype}, but {len(data)} came"
        raise InvalidInput.of("raw_input_contents[0]", text)
    return np.frombuffer(data, dtype=dtype)


def _typed_values(tensor: InferInput) -> _Values:
    field = _TYPED[tensor.datatype]
    for other in _CONTENTS:
        if other != field and len(getattr(tensor.contents, other)):
            text = f"values of {tensor.datatype} belong in {field}"
            raise InvalidInput.of(f"inputs[0].contents.{other}", text)
    values = getattr(tensor.contents, field)
    expected = tensor.shape[0] * tensor.shape[1]
    if len(values) != expected:
        text = f"shape {_pair(tensor)} means {expected} values, but {len(values)} came"
        raise InvalidInput.of(f"inputs[0].contents.{field}", text)
    return np.fromiter(values, dtype=FLOATS[tensor.datatype], count=expected)


def _as_float32(values: _Values) -> FloatMatrix:
    with np.errstate(over="ignore", invalid="ignore"):
        # What is beyond float32's range becomes infinite, and a signalling NaN a quiet one: both are refused by name.
        return values.astype(np.float32, copy=False)


def _pair(tensor: InferInput) -> str:
    return f"({tensor.shape[0]}, {tensor.shape[1]})"
