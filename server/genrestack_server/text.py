"""Text for people: bounded, printable, whatever a caller sent."""

from collections.abc import Iterable
from itertools import islice

_LISTED = 12


def shown(name: str, limit: int = 48) -> str:
    """Quote a name a caller sent, escaped and cut to at most `limit` characters."""
    return repr(name if len(name) <= limit else name[: limit - 1] + "…")


def printable(text: str) -> str:
    """Escape what would break a line of a log: names in a bundle are whatever somebody wrote there."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def listed(names: Iterable[str], limit: int = _LISTED) -> str:
    """Join names with commas, the first `limit` of them and the number of the others."""
    rest = iter(names)
    head = ", ".join(islice(rest, limit))
    more = sum(1 for _ in rest)
    return f"{head} and {more} more" if more else head


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def clipped(text: str, limit: int) -> str:
    """Cut text to at most `limit` bytes of UTF-8."""
    # No character takes less than a byte: what is longer in characters is cut before it is encoded.
    data = text[: limit + 1].encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"
