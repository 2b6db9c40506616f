"""Values quoted in messages."""

import reprlib
from typing import Final

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 48


def quoted(value: object) -> str:
    """Return a value's `repr`, cut in its middle where it is long; never is all of a long one made for that."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"<{type(value).__name__}>"
