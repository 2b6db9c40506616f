"""Parquet tables as a stream of rows: what a few KB say may not become gigabytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from genrestack.cli.tables.table_error import TableError
from genrestack_common.tables.parquet import check_single, is_text
from genrestack_common.text import quoted

_LONGEST_TEXT: Final = 2**14
"""Bytes of one cell."""
_BROKEN: Final = "is not a parquet file, or a damaged one"

Cells = list[Any]


@contextmanager
def open_parquet(
    path: Path, file: IO[bytes], rows_per_batch: int
) -> Iterator[tuple[list[str], int, Iterator[list[Cells]]]]:
    """Open a Parquet file; yield its columns' names, the number of its rows, and its rows in batches.

    Raises:
        TableError: it is not a Parquet file, or holds columns that are not one value a row.

    """
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise TableError(f"{path}: reading parquet needs one more library: pip install pyarrow") from error
    try:
        opened = parquet.ParquetFile(file)
        _check_columns(path, opened)
        texts = [field.name for field in opened.schema_arrow if is_text(field.type)]
        # A text that stands in every row is kept once.
        opened = parquet.ParquetFile(file, read_dictionary=texts)
    except (ArrowException, OSError, ValueError) as error:
        raise TableError(f"{path} {_BROKEN}") from error
    with opened:
        yield list(opened.schema_arrow.names), opened.metadata.num_rows, _rows(path, opened, rows_per_batch)


def _rows(path: Path, opened: Any, rows_per_batch: int) -> Iterator[list[Cells]]:
    from pyarrow import ArrowException

    try:
        for batch in opened.iter_batches(rows_per_batch, use_threads=False):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                _check_texts(path, name, column)
            columns = [column.to_pylist() for column in batch.columns]
            yield [list(row) for row in zip(*columns, strict=True)]
    except (ArrowException, OSError, ValueError) as error:
        raise TableError(f"{path} {_BROKEN}") from error


def _check_columns(path: Path, opened: Any) -> None:
    """Refuse what is not a single value a row, before any of it is read."""
    for field in opened.schema_arrow:
        check_single(field.name, field.type)
    facts = opened.metadata
    for number in range(facts.num_row_groups):
        group = facts.row_group(number)
        for position in range(facts.num_columns):
            column = group.column(position)
            if column.num_values > group.num_rows:
                raise TableError(
                    f"{path}: column {quoted(column.path_in_schema.split('.')[0])} holds lists of several values; "
                    "write them as columns of their own, or remove the column"
                )


def _check_texts(path: Path, name: str, column: Any) -> None:
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    values = column.dictionary if kinds.is_dictionary(column.type) else column
    if is_text(values.type) and (pc.max(pc.binary_length(values)).as_py() or 0) > _LONGEST_TEXT:
        raise TableError(f"{path}: column {quoted(name)} holds a text of more than {_LONGEST_TEXT:,} bytes; remove it")
