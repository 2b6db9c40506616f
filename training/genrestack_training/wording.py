"""Lists in messages: all of a short one, the beginning of a long one."""

from collections.abc import Iterable, Sequence


def listed(items: Sequence[object], most: int = 5) -> str:
    """Give `1, 2, 3`, and `1, 2, 3, 4, 5 and 7 more` of a longer one."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in items[:most]) + more


def rows_named(indices: Iterable[int]) -> str:
    """Give `data row 1` or `data rows 1, 2, 3` for row numbers that count from 0; the header is no data row."""
    numbers = [int(index) + 1 for index in indices]
    return f"data row{'s' * (len(numbers) > 1)} {listed(numbers)}"


def shown(text: object, most: int = 60) -> str:
    """Quote a text of which nobody knows how long it is: all of a short one, the beginning of a long one."""
    whole = str(text)
    return repr(whole) if len(whole) <= most else f"{whole[:most]!r}…"


def cut(text: str, most: int = 60) -> str:
    """Give a text on one line, without quotes: all of a short one, the beginning of a long one."""
    line = "".join(sign if sign.isprintable() else "?" for sign in text[:most])
    return line if len(text) <= most else f"{line}…"
