"""Missing values: refused, left out with their rows, or left for an imputer."""

from dataclasses import replace

import numpy as np

from genrestack_common.text import counted, listed, quoted, quoted_list
from genrestack_training.data.columns import places_of
from genrestack_training.data.table import Table
from genrestack_training.errors import TableError

_NAMED = 5


def without_missing(table: Table, missing: str) -> Table:
    """Return the table as the setting `missing` has it: "error", "drop" or "median".

    Raises:
        TableError: values are missing and that is an error, or a column or every row has none; the message names
            columns and rows.

    """
    gaps = np.isnan(table.features)
    if not gaps.any():
        return table
    if missing == "error":
        refuse_missing(table, ", or give --missing drop or --missing median")
    empty = np.flatnonzero(gaps.all(axis=0))
    if len(empty):
        names = quoted_list([table.feature_names[column] for column in empty], _NAMED)
        raise TableError(f"{table.path}: no row has a value in column {names}; remove the column")
    if missing == "drop":
        return _dropped(table, gaps)
    filled = f"{counted(int(gaps.sum()), 'missing value')} filled in with medians of the training rows"
    return replace(table, notes=(*table.notes, f"{filled}: {_counts(table, gaps)}"))


def refuse_missing(table: Table, advice: str = "") -> None:
    """Reject a table that lacks values.

    Raises:
        TableError: it does; the message names columns and rows, and ends with the advice.

    """
    gaps = np.isnan(table.features)
    if gaps.any():
        places = places_of(table.features, gaps, table.feature_names)
        raise TableError(
            f"{table.path}: values that are not finite numbers: {places}. Fill them in or remove the rows{advice}"
        )


def columns_with_gaps(*rows: np.ndarray) -> np.ndarray:
    """Return which columns of rows, float64 (n, f) each, lack a value somewhere: bool, shape (f,)."""
    return np.asarray(np.any([np.isnan(some).any(axis=0) for some in rows], axis=0))


def check_filled(rows: np.ndarray, names: tuple[str, ...]) -> None:
    """Check that every column has a value to take the median of.

    Args:
        rows: that will be fitted, float64, shape (m, f).
        names: of the columns.

    Raises:
        TableError: a column has none.

    """
    empty = np.flatnonzero(np.isnan(rows).all(axis=0))
    if len(empty):
        raise TableError(
            f"no row left to fit after the split has a value in column "
            f"{quoted_list([names[column] for column in empty], _NAMED)}; remove the column, or add rows that have one"
        )


def _counts(table: Table, gaps: np.ndarray) -> str:
    """Name the columns with gaps, each with how many."""
    counts = np.asarray(gaps.sum(axis=0))
    return listed(f"{quoted(table.feature_names[column])} ({counts[column]:,})" for column in np.flatnonzero(counts))


def _dropped(table: Table, gaps: np.ndarray) -> Table:
    kept = np.asarray(~gaps.any(axis=1))
    columns = _counts(table, gaps)
    left_out = f"{counted(int((~kept).sum()), 'row')} of {len(kept):,} with missing values, in {columns}"
    if not kept.any():
        raise TableError(f"{table.path}: every row lacks a value, in {columns}; remove columns or fill them in")
    return replace(
        table,
        features=np.ascontiguousarray(table.features[kept]),
        labels=None if table.labels is None else table.labels[kept],
        identifiers={name: values[kept] for name, values in table.identifiers.items()},
        collections=None if table.collections is None else table.collections[kept],
        notes=(*table.notes, f"left out {left_out}"),
    )
