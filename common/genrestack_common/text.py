r"""Text for people: bounded and printable, whatever somebody sent or wrote in a file.

- `quoted(value)`: a name or value in a message; never longer than its limit.
- `printable(text)`: what would steer a terminal, begin a new line or turn the direction of reading is written as its
  escape: `\x1b`, `\n`, `\u202e`.
- `listed(names)`, `counted(2, "row")`: the words around them.
- `did_you_mean(name, known)`: what was probably meant.
"""

import re
import reprlib
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

# C0, DEL and C1; marks, embeddings and isolates of bidirectional text; separators of lines and paragraphs; tags, which
# are invisible; and surrogates, which stand for the bytes of a file name that are not UTF-8.
_STEERING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
# Suggestions compare at most this many names, by this many of their characters: the time is the product of the three.
_COMPARED_NAMES: Final = 100
_COMPARED_CHARACTERS: Final = 48


def quoted(value: object, limit: int = 48) -> str:
    """Return the `repr` of a value, of at most about `limit` characters; never is all of a long one made for that."""
    if isinstance(value, str):
        # NumPy's texts say in their `repr` that they are NumPy's.
        return repr(str(value) if len(value) <= limit else str(value[: limit - 1]) + "…")
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = limit
    try:
        return short.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"<{type(value).__name__}>"


def printable(text: str) -> str:
    """Return the text with everything that is not a visible character written as its escape."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def clipped(text: str, limit: int) -> str:
    """Return at most `limit` bytes of UTF-8, the last of them an ellipsis where something is left out."""
    # No character takes less than a byte: what is longer in characters is cut before it is encoded.
    data = text[: limit + 1].encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"


def listed(items: Iterable[object], limit: int = 12) -> str:
    """Return `a, b, c`; of a longer list the first `limit` and how many more there are."""
    rest = iter(items)
    head = ", ".join(map(str, islice(rest, limit)))
    more = sum(1 for _ in rest)
    return f"{head} and {more} more" if more else head


def quoted_list(names: Collection[str], limit: int = 5) -> str:
    """Return `'a', 'b'`; of a longer list the first `limit` and how many more there are."""
    return listed(map(quoted, names), limit)


def counted(number: int, noun: str) -> str:
    """Return `1 row` or `2 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def closest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that was probably meant, the same in other letters or one that looks like it; or None."""
    import difflib

    folded = name.casefold()
    if same := next((other for other in known if other.casefold() == folded), None):
        return same
    if len(known) > _COMPARED_NAMES:
        return None
    heads = {other[:_COMPARED_CHARACTERS]: other for other in known}
    close = difflib.get_close_matches(name[:_COMPARED_CHARACTERS], heads, n=1)
    return heads[close[0]] if close else None


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return `; did you mean tempo?`, or all the names there are."""
    close = closest(name, known)
    return f"; did you mean {close}?" if close else f"; there are {', '.join(sorted(known))}"
