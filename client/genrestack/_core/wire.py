"""How many fields a message has, before it is parsed.

An empty string or message takes two bytes on the wire and up to 130 in memory, so that a bound on the bytes alone lets
a message of 64 MiB take gigabytes while it is parsed.
"""

from typing import Any

_LONGEST_VARINT = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


# protobuf has descriptors of two types.
def has_more_fields(data: bytes, kind: Any, most: int) -> bool:
    """Tell whether a message and those in it have more fields than `most`; one that is broken is for the parser."""
    try:
        return _left(data, 0, len(data), kind, most) < 0
    except IndexError:
        return False


def _left(data: bytes, place: int, end: int, kind: Any, left: int) -> int:
    """Count down from `left`, to -1 at most, for each field between two places."""
    while place < end and left >= 0:
        left -= 1
        tag, place = _varint(data, place)
        wire_type = tag & 7
        if wire_type == _VARINT:
            _, place = _varint(data, place)
        elif wire_type == _BYTES:
            length, place = _varint(data, place)
            field = kind.fields_by_number.get(tag >> 3)
            if field is not None and field.message_type is not None:
                left = _left(data, place, min(place + length, end), field.message_type, left)
            place += length
        elif wire_type in (_FIXED64, _FIXED32):
            place += 8 if wire_type == _FIXED64 else 4
        else:
            raise IndexError("no field begins like this in any message of ours")
    return left


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a number; also return the place behind it."""
    number = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return number, place
    raise IndexError("no number is as long as this")
