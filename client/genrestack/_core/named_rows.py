"""Rows that bring names, held against the columns a model takes: others are left out, and all that is wrong is told."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from genrestack._core.missing import check_gaps
from genrestack._core.rows import REPORTED, CellError, Rows, cell_number, complaint, duplicate, fault, to_rows
from genrestack.errors import InvalidInput, Violation
from genrestack.model_info import ModelInfo
from genrestack_common.text import closest, counted, listed, quoted, quoted_list

_SHOWN: Final = 5
# What is wrong with the form of rows, before anybody looks at cells.
_SHAPE: Final = re.compile(r"rows(\[[0-9]+\])?|feature_names.*")
_MISSING: Final = ("NoneType", "NAType", "NaTType")
"""Types of what stands where a value is missing."""


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
    """Whether a line of pandas can mend them."""


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


def select(rows: NamedRows, model: ModelInfo, *, strict: bool) -> Rows:
    """Return the model's columns, in its order.

    Args:
        rows: of at least the model's columns.
        model: with its features.
        strict: whether other columns are refused, not left out.

    Raises:
        InvalidInput: the message tells all that is wrong: columns missing, twice, or without numbers; rows with NaN.

    """
    features = model.feature_names
    times = Counter(name for name in rows.names if isinstance(name, str))
    missing = [name for name in features if name not in times]
    present = [name for name in features if times[name] == 1]
    others = [name for name in dict.fromkeys(rows.names) if name not in set(features)]
    faults = [
        *_missing(missing, others, rows, model),
        *(_twice(name, rows) for name in features if times[name] > 1),
        *(_strange(others, rows, model) if strict else ()),
    ]
    if present:
        try:
            selected = to_rows(rows.pick(present), gaps=True)
            check_gaps(selected, model)
        except InvalidInput as error:
            whole = _SHAPE.fullmatch(error.violations[0].field) is not None
            found = [] if whole else _of_values(rows, present, model)
            faults += found or [_Fault(str(error), list(error.violations))]
        else:
            if not faults:
                return selected
    raise _error(faults)


def names_at_fault(error: InvalidInput) -> bool:
    """Return whether a server refuses the columns, which another version may have others of."""
    return any(violation.field.startswith(("feature_names", "rows.shape")) for violation in error.violations)


@dataclass
class _Fault:
    text: str
    violations: list[Violation] = field(default_factory=list)


def _error(faults: Sequence[_Fault]) -> InvalidInput:
    violations = [violation for each in faults for violation in each.violations]
    if len(faults) == 1:
        return InvalidInput(faults[0].text, violations)
    lines = [f"  {number}. {each.text}" for number, each in enumerate(faults, 1)]
    return InvalidInput("\n".join([f"{len(faults)} things are wrong with the rows:", *lines]), violations)


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


def _missing(missing: Sequence[str], others: Sequence[object], rows: NamedRows, model: ModelInfo) -> list[_Fault]:
    if not missing:
        return []
    texts = [name for name in others if isinstance(name, str)]
    meant = {close: name for name in missing[:_SHOWN] if (close := closest(name.strip(), texts)) is not None}
    verb = "is" if len(missing) == 1 else "are"
    which = f"{len(missing):,} of the {len(model.features):,} columns that {model.name}/{model.version} takes"
    text = f"{which} {verb} missing: {quoted_list(missing)}"
    if meant and rows.is_pandas:
        text += f"; if it is only the name: rows = rows.rename(columns={_shown(meant)})"
    elif meant:
        text += f"; did you mean {listed(f'{quoted(name)} by {quoted(close)}' for close, name in meant.items())}?"
    else:
        text += f"; client.model({model.name!r}).feature_names lists them all"
    return [_Fault(text, [Violation("feature_names", f"missing: {quoted_list(missing)}")])]


def _twice(name: str, rows: NamedRows) -> _Fault:
    first, second, *_ = (number for number, other in enumerate(rows.names) if other == name)
    error = duplicate(name, second, first)
    return _Fault(f"{error}; keep one of them", list(error.violations))


def _strange(others: Sequence[object], rows: NamedRows, model: ModelInfo) -> list[_Fault]:
    if not others:
        return []
    told = listed(map(quoted, others), _SHOWN)
    text = f"{counted(len(others), 'column')} that {model.name}/{model.version} does not take: {told}"
    if rows.is_pandas and len(others) <= _SHOWN:
        text += f"; leave them out: rows = rows.drop(columns={_shown(list(others))}), or strict=False"
    else:
        text += "; strict=False leaves them out"
    return [_Fault(text, [Violation("feature_names", f"not taken: {told}")])]


def _of_values(rows: NamedRows, names: Sequence[str], model: ModelInfo) -> list[_Fault]:
    """Look at every cell, column by column: which hold no numbers, and which rows lack some."""
    words: dict[str, _Words] = {}
    gaps: dict[int, list[tuple[str, str]]] = {}
    for name in names:
        values = rows.column(name)
        if getattr(values, "ndim", 1) != 1:
            return []
        _look(name, values, words, gaps, may_miss=name in model.missing_features)
    return [*_of_words(words, rows), *_of_gaps(gaps, rows, model)]


@dataclass
class _Words:
    """What of a column is no number."""

    row: int
    text: str
    is_text: bool = False
    numbers: bool = True
    """Whether all of it is text that reads as numbers."""


def _look(
    name: str, values: Any, words: dict[str, _Words], gaps: dict[int, list[tuple[str, str]]], *, may_miss: bool
) -> None:
    array = np.asarray(values) if hasattr(values, "__array__") else None
    if array is not None and array.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            numbers = array.astype(np.float32)
        bad = np.flatnonzero(np.isinf(numbers) if may_miss else ~np.isfinite(numbers))
        for row in bad.tolist():
            gaps.setdefault(row, []).append((name, complaint(array[row])))
        return
    if array is not None and array.dtype.kind in "mMcV":
        words[name] = _Words(0, f"is of dtype {array.dtype}", numbers=False)
        return
    for row, cell in enumerate(values):
        if type(cell).__name__ in _MISSING:
            if not may_miss or type(cell).__name__ == "NaTType":
                gaps.setdefault(row, []).append((name, "is missing"))
            continue
        try:
            number = np.float64(cell_number(cell))
        except CellError as error:
            found = words.setdefault(name, _Words(row, _cause(str(error)), isinstance(cell, str)))
            found.numbers = found.numbers and _reads_as_number(cell)
        else:
            with np.errstate(over="ignore"):
                finite = np.isfinite(np.float32(number))
            if not finite and not (may_miss and np.isnan(number)):
                gaps.setdefault(row, []).append((name, complaint(number)))


def _reads_as_number(cell: object) -> bool:
    try:
        return isinstance(cell, str) and bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _of_words(words: Mapping[str, _Words], rows: NamedRows) -> list[_Fault]:
    if not words:
        return []
    told = listed((f"{quoted(name)} (row {found.row} {found.text})" for name, found in words.items()), _SHOWN)
    text = f"{counted(len(words), 'column')} without numbers: {told}"
    names = list(words)
    mends = rows.is_pandas and len(names) <= _SHOWN and all(found.is_text for found in words.values())
    if mends and all(found.numbers for found in words.values()):
        text += f"; read them as numbers: rows = rows.astype({_shown(dict.fromkeys(names, 'float'))})"
    elif mends:
        chosen = _shown(names)
        text += (
            f"; make numbers of them, and NaN of the rest: rows[{chosen}] = rows[{chosen}].apply(pandas.to_numeric, "
            "errors='coerce')"
        )
    else:
        text += "; make numbers of them"
    violations = [
        fault(found.row, name, f"{found.text}; a number is needed") for name, found in list(words.items())[:REPORTED]
    ]
    return [_Fault(text, violations)]


def _of_gaps(gaps: Mapping[int, Sequence[tuple[str, str]]], rows: NamedRows, model: ModelInfo) -> list[_Fault]:
    if not gaps:
        return []
    numbers = sorted(gaps)
    columns = list(dict.fromkeys(name for row in numbers for name, _ in gaps[row]))
    kinds = {_cause(what) for row in numbers for _, what in gaps[row]}
    said = "NaN" if kinds <= {"is NaN", "is missing"} else "numbers that cannot be used"
    told = listed((_row_told(row, gaps[row], brief=said == "NaN") for row in numbers), _SHOWN)
    text = f"{counted(len(gaps), 'row')} with {said}: {told}"
    if not rows.is_pandas or (said != "NaN" and len(numbers) > _SHOWN):
        text += "; correct them or leave these rows out"
    elif said == "NaN":
        few = len(columns) <= _SHOWN
        chosen = _shown(columns) if few else f"list(client.model({model.name!r}).feature_names)"
        text += f"; leave them out: rows = rows.dropna(subset={chosen})"
    else:
        text += f"; leave them out: rows = rows.drop(index=rows.index[{numbers}])"
    violations = [fault(row, name, what) for row in numbers[:REPORTED] for name, what in gaps[row]]
    return [_Fault(text, violations[:REPORTED])]


def _row_told(row: int, faults: Sequence[tuple[str, str]], *, brief: bool) -> str:
    if brief:
        return f"row {row} ({quoted_list([name for name, _ in faults], 3)})"
    told = [f"{quoted(name)} {_cause(what)}" for name, what in faults]
    return f"row {row} ({listed(told, 3)})"


def _cause(what: str) -> str:
    """Return what is wrong without what to do about it."""
    return what.partition(";")[0]


def _shown(value: object) -> str:
    """Return names as Python reads them, whole: a line that is to be copied is not cut."""
    return repr(value)
