"""Which columns a model takes: names of the fit, those that were given, and those of a DataFrame."""

from collections.abc import Sequence
from typing import Any

from genrestack_common.text import quoted_list
from genrestack_export.errors import ExportError
from genrestack_export.finding.source_model import SourceModel


def column_names(source: SourceModel, given: Sequence[str] | None, rows: Any) -> list[str]:
    """Return the names of the raw columns: those given, else those of the fit, else those of a DataFrame of rows.

    Raises:
        ExportError: nobody named the columns.

    """
    if given is not None:
        return list(given)
    if source.feature_names is not None:
        return list(source.feature_names)
    columns = getattr(rows, "columns", None)
    if columns is None:
        raise ExportError(
            "the model was fitted on rows without names; pass feature_names, the names of its columns in the order of "
            "the fit"
        )
    return list(columns)


def select_columns(rows: Any, names: Sequence[str]) -> Any:
    """Return the named columns of a DataFrame, in this order; other rows as they are.

    Raises:
        ExportError: columns of the model are missing.

    """
    columns = getattr(rows, "columns", None)
    if columns is None or not hasattr(rows, "__getitem__"):
        return rows
    missing = [name for name in names if name not in set(columns)]
    if missing:
        raise ExportError(
            f"the rows lack {quoted_list(missing)}, which the model takes; pass rows with all its columns"
        )
    return rows[list(names)]


def shared_columns(source: SourceModel, columns: Sequence[str]) -> list[str]:
    """Return the columns of a table that the model was fitted on, in the table's order; all, where it has no names.

    Raises:
        ExportError: the table lacks a column of the model.

    """
    if source.feature_names is None:
        return list(columns)
    known = set(source.feature_names)
    if missing := [name for name in source.feature_names if name not in set(columns)]:
        raise ExportError(
            f"the rows lack {quoted_list(missing)}, which the model was fitted on; name a table with all its columns"
        )
    return [column for column in columns if column in known]
