"""Parameters: `priority` and `timeout` are obeyed, what would change the answer is refused, the rest passes by."""

from collections.abc import Mapping
from typing import Final

from genrestack_proto.inference.open_inference_pb2 import InferParameter, ModelRepositoryParameter
from genrestack_server.call import Call
from genrestack_server.errors import InvalidInput

_HIGH, _NORMAL = 1, 2
_WHOLE: Final = ("int64_param", "uint64_param")
_MICROSECONDS: Final = 1e6
_SHARED_MEMORY: Final = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")

Parameters = Mapping[str, InferParameter]


def obey(parameters: Parameters, call: Call) -> None:
    """Read priority and timeout of a request; numbers that name no level leave the priority as it is.

    Raises:
        InvalidInput: one of the two is of another type, or negative.

    """
    priority = _whole(parameters, "priority")
    if priority in (_HIGH, _NORMAL):
        call.high_priority = priority == _HIGH
    timeout = _whole(parameters, "timeout")
    if timeout:
        moment = call.began + timeout / _MICROSECONDS
        call.deadline = moment if call.deadline is None else min(call.deadline, moment)


def refuse_shared_memory(parameters: Parameters, field: str) -> None:
    """Refuse a tensor that lies elsewhere.

    Raises:
        InvalidInput: naming the parameter.

    """
    for name in _SHARED_MEMORY:
        if name in parameters:
            raise InvalidInput.of(
                f"{field}.parameters[{name}]", "tensors in shared memory are not taken; send the values in the message"
            )


def refuse_classification(parameters: Parameters, field: str) -> None:
    """Refuse an output as classification strings.

    Raises:
        InvalidInput: naming the parameter.

    """
    if "classification" in parameters:
        raise InvalidInput.of(
            f"{field}.parameters[classification]",
            "the classification extension is not answered; ask for the outputs label and probabilities",
        )


def refuse_overrides(parameters: Mapping[str, ModelRepositoryParameter]) -> None:
    """Refuse to load anything but what lies in the repository.

    Raises:
        InvalidInput: naming the parameter.

    """
    for name in parameters:
        if name == "config" or name.startswith("file:"):
            which = "config" if name == "config" else "file"
            raise InvalidInput.of(
                f"parameters[{which}]", "models are loaded from the server's repository as they lie there; leave it out"
            )


def _whole(parameters: Parameters, name: str) -> int:
    """Read a parameter that is a whole number, 0 or more; 0 if it is not there."""
    if name not in parameters:
        return 0
    parameter = parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in _WHOLE:
        text = f"expected a whole number (int64_param), but it came as {kind or 'nothing'}"
        raise InvalidInput.of(f"parameters[{name}]", text)
    value = int(getattr(parameter, kind))
    if value < 0:
        raise InvalidInput.of(f"parameters[{name}]", f"{value} is negative; give 0 or more")
    return value
