"""Serialised messages before they are parsed: two bytes of an empty field become up to 200 once they are an object."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)
# How a value of each of these lies behind its tag.
_SCALARS: Final = {_VARINT: rb"[\x80-\xff]{0,9}[\x00-\x7f]", _FIXED64: rb".{8}", _FIXED32: rb".{4}"}
_BODIES: Final = {_FIXED64: 8, _FIXED32: 4, _GROUP: 0, _GROUP_END: 0}
_LEAST_BYTES: Final = 2

_Runs: TypeAlias = Mapping[int, re.Pattern[bytes]]


def holds_more_fields(data: bytes, kind: type[Message], most: int) -> bool:
    """Return whether a serialised message, with the messages in it, holds more than `most` fields.

    A run of one repeated number counts as one field, packed or not. Stops at the first field too many. What is no
    message at all is for the parser to refuse.

    Args:
        data: the serialised message.
        kind: what it is parsed as.
        most: how many fields it may hold.

    """
    if len(data) <= most * _LEAST_BYTES:
        return False
    return any(True for _ in islice(_fields(data, kind.DESCRIPTOR), most, None))


def _fields(data: bytes, kind: Any) -> Iterator[int]:
    """Yield the tag of each field, those of inner messages after those of the message around them."""
    messages = [(0, len(data), kind)]
    while messages:
        position, end, kind = messages.pop()
        inner, runs = _inner(kind), _runs(kind)
        while position < end:
            start = position
            tag, position = _varint(data, position, end)
            yield tag
            if tag & 7 == _BYTES:
                size, position = _varint(data, position, end)
                if tag >> 3 in inner:
                    messages.append((position, min(position + size, end), inner[tag >> 3]))
                position += size
            else:
                position = _behind(data, start, end, runs.get(tag), tag & 7)


def _behind(data: bytes, start: int, end: int, run: "re.Pattern[bytes] | None", form: int) -> int:
    """Return where a number that begins at `start`, or the run of its like, ends; the message's end if it has none."""
    if run is not None:
        found = run.match(data, start, end)
        return end if found is None else found.end()
    _, position = _varint(data, start, end)
    if form == _VARINT:
        return _varint(data, position, end)[1]
    # Elsewhere the parser stops; what lies before is parsed nevertheless, and is still to be counted.
    return position + _BODIES[form] if form in _BODIES else end


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a whole number; return it, and where what follows begins."""
    if position < end and data[position] < 0x80:
        return data[position], position + 1
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        # Ten bytes hold 64 bits, and the parser takes no more.
        if byte < 0x80 or shift > 63:
            return value, position
        shift += 7
    return value, end


@lru_cache(maxsize=256)
def _inner(kind: Any) -> Mapping[int, Any]:
    """Find the fields of a message that are messages, by number."""
    return {field.number: field.message_type for field in kind.fields if field.message_type is not None}


@lru_cache(maxsize=256)
def _runs(kind: Any) -> _Runs:
    """Make what matches a run of each number of a message, by its tag where it is not packed."""
    texts = {FieldDescriptor.CPPTYPE_MESSAGE, FieldDescriptor.CPPTYPE_STRING}
    tags = [field.number << 3 for field in kind.fields if field.cpp_type not in texts]
    return {
        tag | form: re.compile(b"(?:" + re.escape(_written(tag | form)) + value + b")++", re.DOTALL)
        for tag in tags
        for form, value in _SCALARS.items()
    }


def _written(number: int) -> bytes:
    """Write a whole number as the format does."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
