"""The cells of rows: what is a number that float32 holds, and what is said of one that is not."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from genrestack.errors import InvalidInput, Violation
from genrestack_common.text import quoted

REPORTED: Final = 10
"""Cells named in one error."""
ABSENT: Final = "is missing; a number is needed"
NAN: Final = "is NaN; fill it in or leave the row out"
_FIELD_CHARACTERS: Final = 100
_LARGEST: Final = float(np.finfo(np.float32).max)


def is_absent(cell: object) -> bool:
    """Return whether a cell is None, or pandas' NA, by name since pandas need not be there."""
    return cell is None or type(cell).__name__ == "NAType"


def to_numbers(array: npt.NDArray[Any], names: Sequence[str], *, gaps: bool = False) -> npt.NDArray[Any]:
    """Return the matrix with a real numeric dtype; text, dates, complex numbers and other things raise InvalidInput."""
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "mMcV":
        # As objects, dates would be numbers of nanoseconds.
        raise cell_error([cell_fault(0, 0, names, f"is of dtype {array.dtype}; a number is needed")], total=array.size)
    if array.dtype.kind != "O":
        array = array.astype(object)
    numbers = np.empty(array.shape, dtype=np.float64)
    faults: list[Violation] = []
    for (row, column), cell in np.ndenumerate(array):
        try:
            numbers[row, column] = np.nan if gaps and is_absent(cell) else cell_number(cell)
        except CellError as error:
            faults.append(cell_fault(row, column, names, str(error)))
            if len(faults) == REPORTED:
                break
    if faults:
        raise cell_error(faults)
    return numbers


def check_finite(
    matrix: npt.NDArray[np.float32], source: npt.NDArray[Any], names: Sequence[str], *, gaps: bool = False
) -> None:
    """Raise InvalidInput for infinity, finite numbers of `source` that became infinite in float32, and NaN, or gaps."""
    finite = ~np.isinf(matrix) if gaps else np.isfinite(matrix)
    if finite.all():
        return
    faults = [cell_fault(row, column, names, complaint(source[row, column])) for row, column in first_cells(~finite)]
    raise cell_error(faults, total=int(finite.size - np.count_nonzero(finite)))


def first_cells(bad: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return row and column of the first cells of a mask, as many as one error names."""
    # Not the place of every one: that takes four times the memory of the cells themselves.
    rows = np.flatnonzero(bad.any(axis=1))[:REPORTED]
    cells = [(row, column) for row in rows.tolist() for column in np.flatnonzero(bad[row])[:REPORTED].tolist()]
    return cells[:REPORTED]


def cell_error(faults: Sequence[Violation], total: int | None = None) -> InvalidInput:
    """Make the error of one or more cells: the first in the message, as many as are known in `violations`."""
    more = (total or len(faults)) - 1
    first = faults[0]
    return InvalidInput(f"{first.field}: {first.description}{f' (and {more} more)' if more else ''}", faults)


class CellError(ValueError):
    """A cell holds no number; the message goes on after its place."""


# A cell is whatever the caller put there.
def cell_number(cell: Any) -> float:
    """Return a cell as a number.

    Raises:
        CellError: it is none.

    """
    if cell is None:
        raise CellError(ABSENT)
    if isinstance(cell, str | bytes):
        raise CellError(f"is the text {quoted(cell)}; a number is needed")
    try:
        return float(cell)
    except OverflowError:
        raise CellError(_too_large("too large")) from None
    except (TypeError, ValueError):
        raise CellError(f"is {quoted(cell)}; a number is needed") from None


def complaint(value: np.floating) -> str:
    """Return what is wrong with a number that is not finite in float32; the message goes on after its place."""
    if np.isnan(value):
        return NAN
    if np.isinf(value):
        return "is infinite; correct it or leave the row out"
    return _too_large(f"{value:g}")


def _too_large(what: str) -> str:
    return f"is {what}, which float32 cannot hold (its largest is {_LARGEST:.4g}); rescale the feature"


def cell_fault(row: int, column: int, names: Sequence[str], what: str) -> Violation:
    """Name what is wrong with a cell of rows that have names, or none."""
    if names:
        return fault(row, names[column], what)
    return Violation(f"rows[{row}][{column}]", f"column {column} of row {row} {what}")


def fault(row: int, name: str, what: str) -> Violation:
    """Name what is wrong with a cell of a column that has a name."""
    return Violation(f"rows[{row}].{name[:_FIELD_CHARACTERS]}", f"feature {quoted(name)} of row {row} {what}")


def duplicate(name: str, number: int, first: int) -> InvalidInput:
    """Make the error for a column that has the name of an earlier one."""
    field = f"feature_names[{number}]"
    what = f"duplicate feature name {quoted(name)} (also column {first})"
    return InvalidInput(f"{field}: {what}", [Violation(field, what)])
