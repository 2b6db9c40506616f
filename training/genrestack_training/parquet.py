"""Parquet → DataFrame: what the file says of itself is held against the memory there is before any of it is read."""

from pathlib import Path
from typing import Any, BinaryIO, Final

import pandas as pd

from genrestack_training.errors import TableError
from genrestack_training.header import check_names
from genrestack_training.memory import TEXT_BYTES, VALUE_BYTES, check_fits

_BROKEN: Final = "is not a Parquet file, or a broken one; write it again"


def read_parquet(path: Path, file: BinaryIO) -> pd.DataFrame:
    """Read a table of numbers, texts and dates; lists are read where each holds one value.

    Texts are kept once for each value they have, so that a file of a few KB does not become a table of many GB.

    Raises:
        TableError: it is no Parquet file, holds columns of another kind, or takes more memory than there is.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
        fields = list(opened.schema_arrow)
        check_names(path, [field.name for field in fields])
        for field in fields:
            _check_kind(path, field)
        _check_extent(path, opened)
        texts = [field.name for field in fields if _is_text(field.type)]
        columns = pq.ParquetFile(file, read_dictionary=texts).read(use_threads=False)
        columns = pa.table(
            [_plain(path, *each) for each in zip(columns.column_names, columns.columns, strict=True)],
            names=columns.column_names,
        )
        # Without pandas' metadata an index comes back as the column that it was written as.
        frame: pd.DataFrame = columns.to_pandas(ignore_metadata=True, date_as_object=False)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as exc:
        if isinstance(exc, TableError):
            raise
        raise TableError(f"{path} {_BROKEN}") from exc
    return frame


def _check_extent(path: Path, opened: Any) -> None:
    facts = opened.metadata
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    rows = max(facts.num_rows, sum(group.num_rows for group in groups))
    repeated = [i for i in range(facts.num_columns) if opened.schema.column(i).max_repetition_level]
    listed = sum(group.column(i).num_values for group in groups for i in repeated)
    check_fits(
        f"{path} says that it has {rows:,} rows of {len(opened.schema_arrow):,} columns"
        + (f" with {listed:,} values in lists" if listed > rows * len(repeated) else ""),
        VALUE_BYTES * (rows * len(opened.schema_arrow) + listed)
        + TEXT_BYTES * sum(group.total_byte_size for group in groups),
        "leave rows or columns out, or use a machine with more",
    )


def _check_kind(path: Path, field: Any) -> None:
    """Refuse what is no single value a row, by its type and before it is read."""
    import pyarrow.types as kinds

    kind = field.type
    if _is_list(kind) or kinds.is_dictionary(kind):
        kind = kind.value_type
    single = (
        kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal, kinds.is_null, kinds.is_timestamp,
        kinds.is_date, kinds.is_duration, _is_text,
    )  # fmt: skip
    if not any(is_kind(kind) for is_kind in single):
        what = "structs" if kinds.is_struct(kind) else "maps" if kinds.is_map(kind) else "values of another kind"
        what = "lists of lists" if _is_list(kind) else what
        raise TableError(
            f"{path}: column {field.name!r} is not numeric: it holds {what} ({str(field.type)[:60]}), and a table "
            "holds one value a row; write what is in it as columns of their own, or remove the column"
        )


def _is_list(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow.types as kinds

    tests = (kinds.is_string, kinds.is_large_string, kinds.is_string_view, kinds.is_binary, kinds.is_large_binary)
    return any(is_kind(kind) for is_kind in tests)


def _plain(path: Path, name: str, column: Any) -> Any:
    """Take single values out of their lists, and make decimals numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_list(column.type):
        lengths = pc.list_value_length(column)
        wrong = pc.not_equal(pc.fill_null(lengths, 1), 1)
        if (row := pc.index(wrong, True).as_py()) >= 0:
            raise TableError(
                f"{path}: column {name!r} is not numeric: data row {row + 1} holds a list of {lengths[row]} values; "
                "write them as columns of their own"
            )
        column = pc.list_element(column, 0)
    # By way of its digits: Arrow's own way is off by a rounding.
    return column.cast(pa.string()).cast(pa.float64()) if pa.types.is_decimal(column.type) else column
