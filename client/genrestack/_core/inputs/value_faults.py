"""What is wrong with the values of rows that bring names: columns without numbers, rows with missing values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from genrestack._core.inputs.cells import REPORTED, CellError, cell_number, complaint, fault
from genrestack._core.inputs.named_rows import NamedRows
from genrestack.errors import Violation
from genrestack.model_info import ModelInfo
from genrestack_common.text import counted, listed, quoted, quoted_list

SHOWN: Final = 5
"""Names listed in one sentence."""
_MISSING: Final = ("NoneType", "NAType", "NaTType")
"""Types of what stands where a value is missing."""


@dataclass
class Fault:
    """One thing that is wrong with rows: a sentence, and the cells or columns at fault."""

    text: str
    violations: list[Violation] = field(default_factory=list)


def python_literal(value: object) -> str:
    """Return names as Python reads them, whole: a line that is to be copied is not cut."""
    return repr(value)


def value_faults(rows: NamedRows, names: Sequence[str], model: ModelInfo) -> list[Fault]:
    """Check every cell, column by column: which hold no numbers, and which rows lack some."""
    words: dict[str, _WithoutNumbers] = {}
    gaps: dict[int, list[tuple[str, str]]] = {}
    for name in names:
        values = rows.column(name)
        if getattr(values, "ndim", 1) != 1:
            return []
        _look(name, values, words, gaps, may_miss=name in model.missing_features)
    return [*_word_faults(words, rows), *_gap_faults(gaps, rows, model)]


@dataclass
class _WithoutNumbers:
    """The first cell of a column that is not a number."""

    row: int
    text: str
    is_text: bool = False
    numbers: bool = True
    """Whether all of it is text that reads as numbers."""


def _look(
    name: str, values: Any, words: dict[str, _WithoutNumbers], gaps: dict[int, list[tuple[str, str]]], *, may_miss: bool
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
        words[name] = _WithoutNumbers(0, f"is of dtype {array.dtype}", numbers=False)
        return
    for row, cell in enumerate(values):
        if type(cell).__name__ in _MISSING:
            if not may_miss or type(cell).__name__ == "NaTType":
                gaps.setdefault(row, []).append((name, "is missing"))
            continue
        try:
            number = np.float64(cell_number(cell))
        except CellError as error:
            found = words.setdefault(name, _WithoutNumbers(row, _cause(str(error)), isinstance(cell, str)))
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


def _word_faults(words: Mapping[str, _WithoutNumbers], rows: NamedRows) -> list[Fault]:
    if not words:
        return []
    told = listed((f"{quoted(name)} (row {found.row} {found.text})" for name, found in words.items()), SHOWN)
    text = f"{counted(len(words), 'column')} without numbers: {told}"
    names = list(words)
    fixable = rows.is_pandas and len(names) <= SHOWN and all(found.is_text for found in words.values())
    if fixable and all(found.numbers for found in words.values()):
        text += f"; read them as numbers: rows = rows.astype({python_literal(dict.fromkeys(names, 'float'))})"
    elif fixable:
        chosen = python_literal(names)
        text += (
            f"; make numbers of them, and NaN of the rest: rows[{chosen}] = rows[{chosen}].apply(pandas.to_numeric, "
            "errors='coerce')"
        )
    else:
        text += "; make numbers of them"
    violations = [
        fault(found.row, name, f"{found.text}; a number is needed") for name, found in list(words.items())[:REPORTED]
    ]
    return [Fault(text, violations)]


def _gap_faults(gaps: Mapping[int, Sequence[tuple[str, str]]], rows: NamedRows, model: ModelInfo) -> list[Fault]:
    if not gaps:
        return []
    numbers = sorted(gaps)
    columns = list(dict.fromkeys(name for row in numbers for name, _ in gaps[row]))
    kinds = {_cause(what) for row in numbers for _, what in gaps[row]}
    said = "NaN" if kinds <= {"is NaN", "is missing"} else "numbers that cannot be used"
    told = listed((_row_told(row, gaps[row], brief=said == "NaN") for row in numbers), SHOWN)
    text = f"{counted(len(gaps), 'row')} with {said}: {told}"
    if not rows.is_pandas or (said != "NaN" and len(numbers) > SHOWN):
        text += "; correct them or leave these rows out"
    elif said == "NaN":
        few = len(columns) <= SHOWN
        chosen = python_literal(columns) if few else f"list(client.model({model.name!r}).feature_names)"
        text += f"; leave them out: rows = rows.dropna(subset={chosen})"
    else:
        text += f"; leave them out: rows = rows.drop(index=rows.index[{numbers}])"
    violations = [fault(row, name, what) for row in numbers[:REPORTED] for name, what in gaps[row]]
    return [Fault(text, violations[:REPORTED])]


def _row_told(row: int, faults: Sequence[tuple[str, str]], *, brief: bool) -> str:
    if brief:
        return f"row {row} ({quoted_list([name for name, _ in faults], 3)})"
    told = [f"{quoted(name)} {_cause(what)}" for name, what in faults]
    return f"row {row} ({listed(told, 3)})"


def _cause(what: str) -> str:
    """Return what is wrong without what to do about it."""
    return what.partition(";")[0]
