"""Numbers as tables write them: bare, as NumPy prints them, with a decimal comma."""

import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 200
"""Characters of a number with all that is around it."""
MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A")
"""Texts that stand where a value is missing."""
_CALL: Final = re.compile(
    r"(?:[A-Za-z_]+\.)*(?:[Aa]rray|[Tt]ensor|asarray|(?:float|int|uint)[0-9]*)\((.*?)(?:,\s*[a-z_]+=[^,()]*)*,?\s*\)"
)
_POINT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA: Final = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
# In 12,304 the comma may be either; in 0,304 and 12,30 it is the decimal one, in 1,234,567 and 1,234.5 the other.
_THOUSANDS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")
_EITHER: Final = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


def unwrapped(text: str) -> str:
    """Remove what NumPy prints around a single number: `[89.1]`, `array([89.1], dtype=float32)`, `np.float64(89.1)`."""
    text = text.strip()
    if len(text) > LONGEST:
        return text
    while text:
        inner = _inner(text)
        if inner is None or ("," in inner and not _CALL.fullmatch(inner) and inner[0] not in "[("):
            return text  # nothing around it, or several numbers in it
        text = inner
    return text


def _inner(text: str) -> str | None:
    """Return what stands in brackets, in a tuple of one, or in a call; (89.1) is how bookkeepers write -89.1."""
    if text[0] == "[" and text[-1] == "]":
        return text[1:-1].strip().removesuffix(",").rstrip()
    if text[0] == "(" and text[-1] == ")" and text[1:-1].rstrip().endswith(","):
        return text[1:-1].rstrip()[:-1].strip()
    found = _CALL.fullmatch(text)
    return found[1].strip() if found else None


def is_number(text: str) -> bool:
    """Return whether a cell holds a finite number, with a point or a comma."""
    return bool(_POINT.fullmatch(text) or _COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text))


def is_fraction(text: str) -> bool:
    """Return whether a cell holds a number that is written as no whole one."""
    return is_number(text) and not text.lstrip("+-").isdecimal()


def decimal_mark(columns: Iterable[Iterable[str]]) -> str:
    """Return the mark before the fraction, `.` or `,`, that some rows of a table are written with.

    It is a comma only if some number cannot be read otherwise, and no number has a point. A number that is written the
    other way is then not a number, and is reported as such.

    Args:
        columns: cells of each; only those count whose cells are numbers or empty.

    """
    marks: set[str] = set()
    for cells in columns:
        filled = [cell for text in cells if (cell := text.strip())]
        if all(map(is_number, filled)):
            marks.update(map(_mark, filled))
    return "," if "," in marks and not marks & {".", "thousands"} else "."


def plain_number(text: str, decimal: str) -> str:
    """Return a number as Python reads it; one with another mark than the table's is left and is not a number.

    Args:
        text: the number, with or without what NumPy prints around it; NumPy itself writes points.
        decimal: what `decimal_mark` gave.

    """
    text = text.strip()
    bare = unwrapped(text)
    if bare != text or decimal == "." or not is_number(text):
        return bare
    return f"{text} with a point" if "." in text else text.replace(",", ".")


def advice(text: str, decimal: str) -> str:
    """Return what to do about a cell that is not a number, if it is one written in another way; else nothing."""
    if not is_number(unwrapped(text)) or not set(text) & {",", "."}:
        return ""
    mark = "points" if decimal == "." else "commas"
    return f"; numbers of this table are read with decimal {mark}: write all one way, without marks between thousands"


def _mark(cell: str) -> str:
    if "," not in cell:
        return "." if "." in cell else ""
    if _EITHER.fullmatch(cell):
        return "either"
    return "thousands" if _THOUSANDS.fullmatch(cell) else ","
