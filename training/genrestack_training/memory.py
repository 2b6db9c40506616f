"""How much memory a table may take, asked before it is read."""

from typing import Final

from genrestack_common.resources import free_memory
from genrestack_training.errors import TableError

VALUE_BYTES: Final = 64
"""Of each value of a table: 8 in the matrix, and in each copy that reading, splitting, scaling and fitting make."""
TEXT_BYTES: Final = 3
"""Of each byte of a table's text: what a parser may hold at once."""


def check_fits(what: str, size: int, remedy: str) -> None:
    """Refuse what cannot be held.

    Args:
        what: names it, with its numbers.
        size: bytes that it takes.
        remedy: what to do, for a person.

    Raises:
        TableError: the memory is not there.

    """
    free = free_memory()
    if size > free:
        raise TableError(f"{what}, which takes about {_shown(size)} of memory, and {_shown(free)} are free; {remedy}")


def _shown(size: int) -> str:
    for unit, factor in (("TB", 10**12), ("GB", 10**9)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 10**6:,.0f} MB"
