"""Which columns of a table are features: `drop` and `features` of the settings, by name or by shell pattern."""

import csv
import io
import shlex
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from genrestack_common.text import closest, listed, quoted
from genrestack_training.config.settings import TableSettings
from genrestack_training.errors import MissingColumnsError, TableError


def dropped(names: Collection[str], choice: TableSettings, needed: Collection[str] = ()) -> set[str]:
    """Return the columns that `drop` means.

    Args:
        names: of all columns.
        choice: what was chosen.
        needed: those that no pattern means.

    Raises:
        TableError: a name or pattern means none.

    """
    meant = {pattern: _meant(names, pattern, "drop") for pattern in choice.drop}
    return {name for pattern, found in meant.items() for name in found if name == pattern or name not in needed}


def chosen(names: Sequence[str], candidates: Sequence[str], choice: TableSettings) -> list[str]:
    """Return the columns that are features, in the table's order.

    Args:
        names: of all columns.
        candidates: those that may be features.
        choice: what was chosen; without `features`, every candidate is one.

    Raises:
        TableError: a name or pattern means no column.

    """
    if not choice.features:
        return list(candidates)
    missing = tuple(pattern for pattern in choice.features if not _found(names, pattern))
    if missing:
        raise MissingColumnsError(_missing(names, missing[0], "features"), missing)
    meant = {name for pattern in choice.features for name in _found(names, pattern)}
    exact = set(choice.features)
    return [name for name in names if name in meant and (name in exact or name in candidates)]


def drop_option(names: Iterable[str]) -> str:
    """Return what to write on a command line to leave columns out."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(list(names))
    return f"--drop {shlex.quote(text.getvalue())}"


def _meant(names: Collection[str], pattern: str, setting: str) -> list[str]:
    if found := _found(names, pattern):
        return found
    raise TableError(_missing(names, pattern, setting))


def _found(names: Collection[str], pattern: str) -> list[str]:
    return [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]


def _missing(names: Collection[str], pattern: str, setting: str) -> str:
    close = closest(pattern, names)
    which = f"did you mean {quoted(close)}?" if close else f"its columns are {listed(map(quoted, names))}"
    return f"there is no column {quoted(pattern)}, which {setting} names; {which}"
