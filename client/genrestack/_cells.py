"""From cells of any kind to numbers that float32 can hold; what cannot be used is named by row and feature."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack.errors import InvalidInput, Violation
from genrestack_common.text import quoted

_REPORTED = 10
_FIELD_CHARACTERS = 100
_LARGEST = float(np.finfo(np.float32).max)


def to_numbers(array: npt.NDArray[Any], names: Sequence[str]) -> npt.NDArray[Any]:
    """Return the matrix with a real numeric dtype; text, dates, complex numbers and other things raise InvalidInput."""
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind != "O":
        array = array.astype(object)
    numbers = np.empty(array.shape, dtype=np.float64)
    faults: list[Violation] = []
    for (row, column), cell in np.ndenumerate(array):
        try:
            numbers[row, column] = _number(cell)
        except _BadCellError as error:
            faults.append(_fault(row, column, names, str(error)))
            if len(faults) == _REPORTED:
                break
    if faults:
        raise cell_error(faults)
    return numbers


def check_finite(matrix: npt.NDArray[np.float32], source: npt.NDArray[Any], names: Sequence[str]) -> None:
    """Raise InvalidInput for NaN, infinity, and finite numbers of `source` that became infinite in float32."""
    finite = np.isfinite(matrix)
    if finite.all():
        return
    # Not the place of every one: that takes four times the memory of the cells themselves.
    bad_rows = np.flatnonzero(~finite.all(axis=1))[:_REPORTED]
    bad = [(row, column) for row in bad_rows.tolist() for column in np.flatnonzero(~finite[row])[:_REPORTED].tolist()]
    faults = [_fault(row, column, names, _complaint(source[row, column])) for row, column in bad[:_REPORTED]]
    raise cell_error(faults, total=int(finite.size - np.count_nonzero(finite)))


def cell_error(faults: Sequence[Violation], total: int | None = None) -> InvalidInput:
    """Make the error of one or more cells: the first in the message, as many as are known in `violations`."""
    more = (total or len(faults)) - 1
    first = faults[0]
    return InvalidInput(f"{first.field}: {first.description}{f' (and {more} more)' if more else ''}", faults)


class _BadCellError(ValueError):
    pass


# A cell is whatever the caller put there.
def _number(cell: Any) -> float:
    if cell is None:
        raise _BadCellError("is missing; a number is needed")
    if isinstance(cell, str | bytes):
        raise _BadCellError(f"is the text {quoted(cell)}; a number is needed")
    try:
        return float(cell)
    except OverflowError:
        raise _BadCellError(_too_large("too large")) from None
    except (TypeError, ValueError):
        raise _BadCellError(f"is {quoted(cell)}; a number is needed") from None


def _complaint(value: np.floating) -> str:
    if np.isnan(value):
        return "is NaN; fill it in or leave the row out"
    if np.isinf(value):
        return "is infinite; correct it or leave the row out"
    return _too_large(f"{value:g}")


def _too_large(what: str) -> str:
    return f"is {what}, which float32 cannot hold (its largest is {_LARGEST:.4g}); rescale the feature"


def _fault(row: int, column: int, names: Sequence[str], complaint: str) -> Violation:
    if names:
        return Violation(
            f"rows[{row}].{names[column][:_FIELD_CHARACTERS]}",
            f"feature {quoted(names[column])} of row {row} {complaint}",
        )
    return Violation(f"rows[{row}][{column}]", f"column {column} of row {row} {complaint}")
