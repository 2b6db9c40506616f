"""Whatever a caller has as rows: one float32 matrix and, where they are known, the names of its columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack._core.inputs.cells import check_finite, duplicate, is_absent, to_numbers
from genrestack._core.invalid import invalid
from genrestack.errors import InvalidInput
from genrestack_common.text import quoted, quoted_list

_SHAPES = "give an array of shape (rows, features), a DataFrame, a list of rows, or dicts by feature name"


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked rows, ready to be sent."""

    matrix: npt.NDArray[np.float32]
    """C-contiguous, shape (n, f) with n, f ≥ 1; finite, or NaN in gaps."""
    names: tuple[str, ...] = ()
    """One for each column, or none: the columns are then in the model's own order."""
    gaps: npt.NDArray[np.bool_] | None = None
    """Where a value is missing, shape (n, f); None where none is."""
    absent: npt.NDArray[np.bool_] | None = None
    """Which of the gaps were None, not NaN; likewise."""

    def __len__(self) -> int:
        return len(self.matrix)


# Rows come in more shapes than a type can say; what they turn out to be is checked here.
def to_rows(rows: Any, *, gaps: bool = False) -> Rows:
    """Check rows and convert them to float32.

    A DataFrame (anything with `columns` and `to_numpy`) and dicts bring names, which decide the order; no column is
    left out. A DataFrame whose column names are not text has none. A dict of numbers is one row, a dict of sequences is
    a set of columns. A flat list or array is refused: whether it is one row or one column cannot be told.

    Args:
        rows: what the caller has.
        gaps: whether None and NaN are taken for missing values, on which the model has a say.

    Raises:
        InvalidInput: the rows have another shape, are ragged, or hold text, Inf, a number that float32 cannot hold, or
            a gap where none is taken; the message names row (from 0) and feature.

    """
    if isinstance(rows, Rows):
        return rows
    if isinstance(rows, Mapping):
        return _from_mapping(rows, gaps=gaps)
    if hasattr(rows, "columns") and hasattr(rows, "to_numpy"):
        return _from_frame(rows, gaps=gaps)
    if hasattr(rows, "toarray") and hasattr(rows, "nnz"):
        # A sparse matrix: the model computes with every value, so that nothing is gained by keeping it so.
        return _finish(np.asarray(rows.toarray()), (), gaps=gaps)
    if isinstance(rows, np.ma.MaskedArray) and rows.dtype.kind in "biuf":
        return _finish(np.ma.filled(rows.astype(np.float64), np.nan), (), gaps=gaps)
    if hasattr(rows, "__array__"):
        return _finish(_as_array(rows), (), gaps=gaps)
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | bytearray | memoryview):
        return _from_list(list(rows), gaps=gaps)
    raise invalid("rows", f"is {_kind(rows)}; {_SHAPES}")


def _as_array(rows: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(rows)
    except Exception:  # noqa: BLE001 - whatever another library says of its own kind, such as a tensor on a GPU
        raise invalid("rows", f"is {_kind(rows)}, of which numpy makes no array; {_SHAPES}") from None


def _from_frame(frame: Any, *, gaps: bool) -> Rows:
    columns = list(frame.columns)
    texts = [name for name in columns if isinstance(name, str)]
    if texts and len(texts) != len(columns):
        odd = next(name for name in columns if not isinstance(name, str))
        raise invalid("feature_names", f"mix text and other names, such as {quoted(odd)}; make all column names text")
    return _finish(np.asarray(frame.to_numpy()), tuple(texts), gaps=gaps)


def _from_mapping(mapping: Mapping[Any, Any], *, gaps: bool) -> Rows:
    names = _names_of(mapping)
    columns = {name: _as_column(value) for name, value in mapping.items()}
    flat = [name for name, column in columns.items() if column is None]
    if len(flat) == len(columns):
        return _finish(_object_matrix([list(mapping.values())]), names, gaps=gaps)
    if flat:
        raise invalid(
            "rows", f"mix single values and columns: {quoted(flat[0])} is a single value; give one or the other"
        )
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    _same_lengths(lengths)
    arrays = [np.asarray(value) for value in mapping.values() if hasattr(value, "__array__")]
    if len(arrays) == len(mapping) and all(array.dtype.kind in "biuf" and array.ndim == 1 for array in arrays):
        return _finish(np.column_stack(arrays), names, gaps=gaps)
    rows = list(zip(*(column for column in columns.values() if column is not None), strict=True))
    return _finish(_object_matrix(rows), names, gaps=gaps)


def _as_column(value: object) -> Sequence[object] | None:
    if isinstance(value, str | bytes) or np.ndim(np.asarray(value, dtype=object)) == 0:
        return None
    return list(value) if isinstance(value, Iterable) else None


def _same_lengths(lengths: Mapping[str, int]) -> None:
    first, count = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != count:
            raise invalid("rows", f"are ragged: {quoted(first)} has {count} values, {quoted(name)} has {length}")


def _from_list(rows: list[Any], *, gaps: bool) -> Rows:
    if rows and all(isinstance(row, Mapping) for row in rows):
        return _from_records(rows, gaps=gaps)
    if not rows:
        raise invalid("rows", "holds no row; give at least one")
    widths = [len(row) if _is_sequence(row) else -1 for row in rows]
    if widths == [-1] * len(rows):
        raise _flat(len(rows))
    for number, width in enumerate(widths):
        if width == -1:
            raise invalid(f"rows[{number}]", f"is {_kind(rows[number])}, not a row; {_SHAPES}")
        if width != widths[0]:
            raise invalid(f"rows[{number}]", f"has {width} values, but row 0 has {widths[0]}")
    return _finish(_stack(rows), (), gaps=gaps)


def _from_records(rows: list[Mapping[Any, Any]], *, gaps: bool) -> Rows:
    names = _names_of(rows[0])
    for number, row in enumerate(rows):
        if missing := [name for name in names if name not in row]:
            raise invalid(f"rows[{number}]", f"lacks {quoted_list(missing)}, which row 0 has")
        if len(row) != len(names):
            unknown = [name for name in row if name not in rows[0]]
            raise invalid(f"rows[{number}]", f"has {quoted_list(unknown)}, which row 0 has not")
    return _finish(_object_matrix([[row[name] for name in names] for row in rows]), names, gaps=gaps)


def _names_of(row: Mapping[Any, Any]) -> tuple[str, ...]:
    if not row:
        raise invalid("rows", "holds an empty dict; give a value for each feature")
    for name in row:
        if not isinstance(name, str):
            raise invalid("feature_names", f"hold {quoted(name)}; feature names are text")
    return tuple(row)


def _stack(rows: list[Any]) -> npt.NDArray[Any]:
    # numpy would turn numbers beside text into text; as objects every cell keeps its kind for the checks.
    try:
        array = np.asarray(rows)
    except (ValueError, TypeError, OverflowError):
        return _object_matrix(rows)
    return array if array.dtype.kind in "biuf" else _object_matrix(rows)


def _object_matrix(rows: Sequence[Sequence[object]]) -> npt.NDArray[np.object_]:
    matrix = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            matrix[number, column] = cell
    return matrix


def _finish(array: npt.NDArray[Any], names: tuple[str, ...], *, gaps: bool) -> Rows:
    if array.ndim == 1:
        raise _flat(len(array))
    if array.ndim != 2:
        raise invalid("rows", f"has {array.ndim} dimensions; {_SHAPES}")
    if 0 in array.shape:
        raise invalid("rows", f"has shape {array.shape}; give at least one row and one feature")
    _check_doubles(names)
    numbers = to_numbers(array, names, gaps=gaps)
    # An overflow to infinity is reported by check_finite, with the cell it happened in.
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(numbers, dtype=np.float32)
    check_finite(matrix, numbers, names, gaps=gaps)
    found = np.isnan(matrix) if gaps else None
    if found is None or not found.any():
        return Rows(matrix, names)
    return Rows(matrix, names, found, _absent(array))


def _absent(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if array.dtype.kind != "O":
        return np.zeros(array.shape, dtype=np.bool_)
    cells = (is_absent(cell) for cell in array.flat)
    return np.fromiter(cells, dtype=np.bool_, count=array.size).reshape(array.shape)


def _check_doubles(names: tuple[str, ...]) -> None:
    if len(set(names)) == len(names):
        return
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if name in seen:
            raise duplicate(name, number, seen[name])
        seen[name] = number


def _flat(length: int) -> InvalidInput:
    return invalid(
        "rows",
        f"is flat, with {length} values, which may be one row or one column; "
        "write [row] for one row, or column.reshape(-1, 1) for one feature",
    )


def _is_sequence(row: object) -> bool:
    return hasattr(row, "__len__") and not isinstance(row, str | bytes | Mapping)


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
