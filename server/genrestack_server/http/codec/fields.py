"""Values of a JSON document by the types they have to have, or the field at fault."""

from typing import Any, Final

from genrestack_proto.inference.open_inference_pb2 import InferParameter, ModelRepositoryParameter
from genrestack_server.errors import InvalidInput

_NAMES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
_INT64: Final = 2**63
_UINT64: Final = 2**64


def an_object(value: Any, field: str) -> dict[str, Any]:
    """Return an object.

    Raises:
        InvalidInput: it is something else.

    """
    if not isinstance(value, dict):
        raise unexpected(value, field, "an object")
    return value


def a_list(value: Any, field: str) -> list[Any]:
    """Return a list.

    Raises:
        InvalidInput: it is something else.

    """
    if not isinstance(value, list):
        raise unexpected(value, field, "a list")
    return value


def a_text(value: Any, field: str) -> str:
    """Return a string that has a form in UTF-8.

    Raises:
        InvalidInput: it is something else.

    """
    if not isinstance(value, str):
        raise unexpected(value, field, "a string")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidInput.of(field, "it has half a surrogate pair, which is not a character; send both halves")
    return value


def a_flag(value: Any, field: str) -> bool:
    """Return true or false.

    Raises:
        InvalidInput: it is something else.

    """
    if not isinstance(value, bool):
        raise unexpected(value, field, "true or false")
    return value


def a_whole(value: Any, field: str, least: int = -_INT64) -> int:
    """Return a whole number of 64 bits.

    Raises:
        InvalidInput: it is something else, or less than `least`.

    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise unexpected(value, field, "a whole number")
    if not least <= value < _INT64:
        raise InvalidInput.of(field, f"expected a whole number from {least} to {_INT64 - 1}")
    return value


def unexpected(value: Any, field: str, expected: str) -> InvalidInput:
    """Return the error of a value of another type; it never holds the value."""
    return InvalidInput.of(field, f"expected {expected}, but it is {_NAMES[type(value)]}")


def set_parameter(into: InferParameter, value: Any, field: str) -> None:
    """Copy a parameter's value.

    Raises:
        InvalidInput: it is of a type that no parameter has.

    """
    if isinstance(value, bool):
        into.bool_param = value
    elif isinstance(value, int):
        if not -_INT64 <= value < _UINT64:
            raise InvalidInput.of(field, "the number has more than 64 bits")
        if value < _INT64:
            into.int64_param = value
        else:
            into.uint64_param = value
    elif isinstance(value, float):
        into.double_param = value
    elif isinstance(value, str):
        into.string_param = a_text(value, field)
    else:
        raise unexpected(value, field, "true, false, a number or a string")


def set_repository_parameter(into: ModelRepositoryParameter, value: Any, field: str) -> None:
    """Copy a parameter's value, as `set_parameter` does."""
    if isinstance(value, bool):
        into.bool_param = value
    elif isinstance(value, int):
        into.int64_param = a_whole(value, field)
    elif isinstance(value, str):
        into.string_param = a_text(value, field)
    else:
        raise unexpected(value, field, "true, false, a whole number or a string")
