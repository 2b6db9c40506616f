"""JSON to and from bytes, strictly and within bounds."""

import json
from typing import Any, Final, NoReturn

from genrestack_common.text import quoted
from genrestack_server.errors import InvalidInput
from genrestack_server.service.messages import MAX_FIELDS

_LARGE: Final = 2**16


def to_json(document: Any) -> bytes:
    """Return a document as JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def of_json(data: bytes) -> Any:
    """Parse JSON as the standard has it: UTF-8, no NaN, no Infinity.

    Raises:
        InvalidInput: it is something else, or has more lists, objects and strings than any request; each takes up to
            30 times its bytes once it is parsed.

    """
    if not data:
        raise _invalid("it is empty; send a JSON object")
    if data.count(b"[") + data.count(b"{") + data.count(b'"') // 2 > MAX_FIELDS:
        text = f"it has more than {MAX_FIELDS:,} lists, objects and strings; send a tensor's values as one flat list"
        raise _invalid(text)
    try:
        return (_DECODER if len(data) <= _LARGE else _INTERRUPTIBLE).decode(data.decode())
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start} is not UTF-8; send JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _invalid(f"it is not JSON from {where} on; check quotes, commas and brackets there") from error
    except RecursionError as error:
        raise _invalid("its lists and objects are nested too deeply; a tensor's values are one flat list") from error
    except ValueError as error:
        raise _invalid("it has a whole number of more digits than are read; send numbers that float64 holds") from error


def _refuse(name: str) -> NoReturn:
    raise _invalid(f"{quoted(name)} is not JSON; send finite numbers")


def _float(text: str) -> float:
    return float(text)


def _int(text: str) -> int:
    return int(text)


def _invalid(text: str) -> InvalidInput:
    return InvalidInput.of("request", text)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
# Reads numbers by functions of Python's, between which other threads get their turn: the event loop among them.
_INTERRUPTIBLE: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_float, parse_int=_int)
