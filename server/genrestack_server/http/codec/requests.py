"""From the body of a request to the message that gRPC's callers send, and to how its answer goes back."""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from genrestack_common.text import counted
from genrestack_proto.inference import open_inference_pb2 as pb
from genrestack_server.errors import InvalidInput, Violation
from genrestack_server.http.codec.fields import a_flag, a_list, a_text, a_whole, an_object, set_parameter, unexpected
from genrestack_server.http.json_text import of_json

HEADER_LENGTH: Final = b"inference-header-content-length"
"""The header that tells how many bytes of a body are JSON; tensors' bytes follow them."""
_BINARY_OUTPUT: Final = "binary_data_output"
_BINARY: Final = "binary_data"
_SIZE: Final = "binary_data_size"
_TYPED: Final = {"FP32": "fp32_contents", "FP64": "fp64_contents"}
_NUMBERS: Final = {int, float}
# This many numbers take a few milliseconds.
_AT_ONCE: Final = 2**16
_FIELDS: Final = {
    "inputs[0].contents.fp32_contents": "inputs[0].data",
    "inputs[0].contents.fp64_contents": "inputs[0].data",
    "inputs[0].contents": "inputs[0].data",
    "raw_input_contents": f"inputs[0].parameters[{_SIZE}]",
    "raw_input_contents[0]": f"inputs[0].parameters[{_SIZE}]",
    "model_version": "version",
}
"""Fields of the message that have another name here."""

InferInput = pb.ModelInferRequest.InferInputTensor


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """Which outputs go back as bytes, and which as JSON."""

    default: bool = False
    named: Mapping[str, bool] | None = None

    def is_binary(self, output: str) -> bool:
        """Return whether an output goes as bytes."""
        return self.default if self.named is None else self.named.get(output, self.default)


def decode(body: bytes, json_length: str | None, model: str, version: str) -> tuple[pb.ModelInferRequest, AnswerForm]:
    """Make the message of a request.

    Args:
        body: JSON, and tensors' bytes after it.
        json_length: the header that tells how much of it is JSON; None: all.
        model: from the path.
        version: from the path; empty: the newest.

    Raises:
        InvalidInput: naming the field at fault.

    """
    head, tail = _parted(body, json_length)
    document = an_object(of_json(head), "request")
    request = pb.ModelInferRequest(model_name=model, model_version=version)
    if "id" in document:
        request.id = a_text(document["id"], "id")
    default = _take_parameters(document, request.parameters, "", _BINARY_OUTPUT)
    _add_inputs(request, a_list(document.get("inputs", []), "inputs"), tail)
    form = _add_outputs(request, a_list(document.get("outputs", []), "outputs"), default=bool(default))
    return request, form


def in_json_terms(error: InvalidInput) -> InvalidInput:
    """Return an error with the fields as they are called in JSON."""
    found = [Violation(_FIELDS.get(v.field, v.field), v.description) for v in error.violations]
    return InvalidInput(found, error.total)


def json_size(body: bytes, json_length: str | None) -> int:
    """Return how many bytes of a body are JSON, by what its header says; 0 if that is not such a number."""
    if json_length is None:
        return len(body)
    digits = json_length.strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(len(body))) else 0


def _parted(body: bytes, json_length: str | None) -> tuple[bytes, memoryview | None]:
    if json_length is None:
        return body, None
    length = json_size(body, json_length)
    if not 0 < length <= len(body):
        text = f"expected the number of bytes that are JSON, from 1 to the {len(body)} of the body"
        raise InvalidInput.of("Inference-Header-Content-Length", text)
    return body[:length], memoryview(body)[length:]


def _take_parameters(
    holder: Mapping[str, Any], into: MutableMapping[str, pb.InferParameter], field: str, own: str
) -> Any:
    """Copy the parameters but one, which is HTTP's own; return its value, None if it is not there."""
    prefix = f"{field}.parameters" if field else "parameters"
    found = None
    for name, value in an_object(holder.get("parameters", {}), prefix).items():
        where = f"{prefix}[{a_text(name, prefix)}]"
        if name == own:
            found = a_whole(value, where, 0) if own == _SIZE else a_flag(value, where)
        else:
            set_parameter(into[name], value, where)
    return found


def _add_inputs(request: pb.ModelInferRequest, inputs: list[Any], tail: memoryview | None) -> None:
    left = memoryview(b"") if tail is None else tail
    for position, found in enumerate(inputs):
        field = f"inputs[{position}]"
        holder = an_object(found, field)
        tensor = request.inputs.add()
        tensor.name = a_text(holder.get("name", ""), f"{field}.name")
        tensor.datatype = a_text(holder.get("datatype", ""), f"{field}.datatype")
        shape = a_list(holder.get("shape", []), f"{field}.shape")
        tensor.shape.extend(a_whole(side, f"{field}.shape[{number}]") for number, side in enumerate(shape))
        size = _take_parameters(holder, tensor.parameters, field, _SIZE)
        if size is not None:
            left = _add_bytes(request, size, left, field, there=tail is not None)
        if "data" in holder and size is not None:
            raise InvalidInput.of(f"{field}.data", f"the values came as bytes too ({_SIZE}); send one of the two")
        # Others than the first, and of another datatype, are refused by those.
        if "data" in holder and not position and tensor.datatype in _TYPED:
            _add_values(tensor, a_list(holder["data"], f"{field}.data"), f"{field}.data")
    if left:
        text = f"{counted(len(left), 'byte')} after the JSON belong to no input; give each its {_SIZE}"
        raise InvalidInput.of("inputs", text)


def _add_bytes(request: pb.ModelInferRequest, size: int, left: memoryview, field: str, *, there: bool) -> memoryview:
    where = f"{field}.parameters[{_SIZE}]"
    if not there:
        text = "without the header Inference-Header-Content-Length all of the body is JSON; send it"
        raise InvalidInput.of(where, text)
    if size > len(left):
        raise InvalidInput.of(where, f"it is {size}, but only {counted(len(left), 'byte')} follow")
    request.raw_input_contents.append(bytes(left[:size]))
    return left[size:]


def _add_values(tensor: InferInput, data: list[Any], field: str) -> None:
    if len(tensor.shape) != 2:
        return  # refused by its shape
    if data and isinstance(data[0], list):
        data = _flat(data, tensor.shape[0], tensor.shape[1], field)
    values = getattr(tensor.contents, _TYPED[tensor.datatype])
    # Not all at once: in between, other threads get their turn.
    for start in range(0, len(data), _AT_ONCE):
        values.extend(_numbers(data[start : start + _AT_ONCE], start, field))


def _numbers(data: list[Any], start: int, field: str) -> Iterable[float]:
    kinds = set(map(type, data))
    if not kinds <= _NUMBERS:
        number, value = next(found for found in enumerate(data, start) if type(found[1]) not in _NUMBERS)
        raise unexpected(value, f"{field}[{number}]", "a number")
    try:
        return list(map(float, data)) if int in kinds else data
    except OverflowError as error:
        raise InvalidInput.of(field, "a whole number in it is larger than any float64; send finite numbers") from error


def _flat(data: list[Any], rows: int, columns: int, field: str) -> list[Any]:
    """Join the rows of a nested list."""
    if len(data) != rows:
        raise InvalidInput.of(field, f"shape ({rows}, {columns}) means {rows} rows, but {len(data)} came")
    for number, row in enumerate(data):
        if not isinstance(row, list):
            raise unexpected(row, f"{field}[{number}]", "a list, as the first row is")
        if len(row) != columns:
            text = f"shape ({rows}, {columns}) means {columns} values in each row, but {len(row)} came"
            raise InvalidInput.of(f"{field}[{number}]", text)
    return list(chain.from_iterable(data))


def _add_outputs(request: pb.ModelInferRequest, outputs: list[Any], *, default: bool) -> AnswerForm:
    named: dict[str, bool] = {}
    for position, found in enumerate(outputs):
        field = f"outputs[{position}]"
        holder = an_object(found, field)
        output = request.outputs.add()
        output.name = a_text(holder.get("name", ""), f"{field}.name")
        binary = _take_parameters(holder, output.parameters, field, _BINARY)
        named[output.name] = default if binary is None else binary
    return AnswerForm(default, named)
