"""The names in a table's header: what is refused whatever kind of file it is."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from genrestack_common.text import listed, quoted
from genrestack_training.errors import TableError

MOST_COLUMNS: Final = 100_000
LONGEST_NAME: Final = 200
"""Characters."""


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse names that nobody means, and more of them than a model has.

    Raises:
        TableError: there are too many columns, or a name is too long, has control characters, or comes twice.

    """
    if len(names) > MOST_COLUMNS:
        raise TableError(
            f"{path} has {len(names):,} columns, and {MOST_COLUMNS:,} are the most that can be trained on; leave "
            "columns out, or turn the table if its rows are features"
        )
    for place, name in enumerate(names, start=1):
        if len(name) > LONGEST_NAME:
            raise TableError(
                f"{path}: the name of column {place} has {len(name):,} characters ({quoted(name)}), and {LONGEST_NAME} "
                "are the most; shorten it"
            )
        if not name.isprintable() and name.strip():
            raise TableError(f"{path}: the name of column {place} has control characters ({quoted(name)}); rename it")
    _refuse_duplicates(path, names)


def _refuse_duplicates(path: Path, names: Sequence[str]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if double:
        places = listed((i + 1 for i, name in enumerate(names) if name == double[0]), 5)
        raise TableError(f"{path} has the column {double[0]!r} more than once (columns {places}); rename or remove one")
