"""Rows that bring names, of whatever kind: their names, and how columns are taken from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genrestack._core.inputs.cells import duplicate
from genrestack._core.inputs.rows import Rows, to_rows


@dataclass(frozen=True)
class NamedRows:
    """Rows with names, of whatever kind."""

    names: Sequence[object]
    """Of all columns; text, most of them."""
    pick: Callable[[Sequence[str]], Any]
    """Makes rows of some columns alone."""
    column: Callable[[str], Any]
    """Returns the values of one column."""
    is_pandas: bool = False
    """Whether a line of pandas can fix them."""


def read_rows(rows: Any) -> "Rows | NamedRows":
    """Check rows that have no names; of those that do, find the names.

    Raises:
        InvalidInput: as `to_rows`.

    """
    if isinstance(rows, Iterable) and not isinstance(rows, Sequence) and hasattr(rows, "__next__"):
        rows = list(rows)
    if isinstance(rows, np.ndarray) and rows.dtype.names is not None and rows.ndim <= 1:
        rows = {name: np.atleast_1d(rows[name]) for name in rows.dtype.names}
    elif hasattr(rows, "column_names") and hasattr(rows, "to_pydict"):
        rows = {name: np.asarray(rows.column(number)) for number, name in _unique(rows.column_names)}
    elif getattr(rows, "ndim", None) == 1 and hasattr(rows, "index") and hasattr(rows, "to_dict"):
        # One row of a frame, which has the names of its columns.
        rows = rows.to_dict() if _is_row(rows) else rows
    if isinstance(rows, Mapping):
        return _of_mapping(rows)
    if hasattr(rows, "columns") and hasattr(rows, "to_numpy"):
        return _of_frame(rows)
    if isinstance(rows, list | tuple) and rows and all(isinstance(row, Mapping) for row in rows):
        return _of_records(rows)
    return to_rows(rows, gaps=True)


def _is_row(series: Any) -> bool:
    """Return whether a column of a frame is a row of one: it has texts for an index."""
    names = list(series.index)
    return bool(names) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def _unique(names: Sequence[str]) -> list[tuple[int, str]]:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise duplicate(name, number, names.index(name))
    return list(enumerate(names))


def _of_frame(frame: Any) -> "Rows | NamedRows":
    names = list(frame.columns)
    if not any(isinstance(name, str) for name in names):
        return to_rows(frame, gaps=True)
    is_pandas = type(frame).__module__.partition(".")[0] == "pandas"
    return NamedRows(names, lambda chosen: frame[list(chosen)], lambda name: frame[name], is_pandas)


def _of_mapping(mapping: Mapping[Any, Any]) -> "Rows | NamedRows":
    if not any(isinstance(name, str) for name in mapping):
        return to_rows(mapping, gaps=True)

    def column(name: str) -> Any:
        value = mapping[name]
        return [value] if isinstance(value, str | bytes) or np.ndim(np.asarray(value, dtype=object)) == 0 else value

    return NamedRows(list(mapping), lambda chosen: {name: mapping[name] for name in chosen}, column)


def _of_records(records: Sequence[Mapping[Any, Any]]) -> "Rows | NamedRows":
    if not records[0]:
        return to_rows(records, gaps=True)
    names = list(dict.fromkeys([*records[0], *(name for row in records for name in row)]))

    def pick(chosen: Sequence[str]) -> list[dict[str, Any]]:
        return [{name: row[name] for name in chosen if name in row} for row in records]

    def column(name: str) -> list[Any]:
        return [row.get(name) for row in records]

    return NamedRows(names, pick, column)
