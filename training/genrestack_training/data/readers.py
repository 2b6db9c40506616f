"""File → DataFrame with every column of the header, for each kind of file; errors in plain words.

Memory is bounded before anything is kept: a text table is read twice, the first time only to count.
"""

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pandas as pd

from genrestack_training.data.columns import check_names
from genrestack_training.data.limits import LONGEST_LINE, TEXT_BYTES, VALUE_BYTES, check_extent, check_fits
from genrestack_training.errors import TableError

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
# What pandas takes for "nothing here" in a feature; a label may well be called "NA" or "None".
_MISSING: Final = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"]
_KINDS: Final = (".csv", ".csv.gz", ".parquet")
_BROKEN: Final = "is not a Parquet file, or a broken one; write it again"


def check_kind(path: Path) -> None:
    """Reject a name with another ending than those of `read_frame`.

    Raises:
        TableError: as it says.

    """
    if not path.name.lower().endswith(_KINDS):
        raise TableError(f"{path} is not a kind of table that can be read; use .csv, .csv.gz or .parquet")


def read_frame(path: Path, file: BinaryIO, *, label: str) -> pd.DataFrame:
    """Read a table by the file's ending: `.csv`, `.csv.gz` or `.parquet`.

    The label column of a text file is read as text, exactly as it stands.

    Args:
        path: gives the ending, and names the file in messages.
        file: open, at its beginning; can seek.
        label: name of the label column.

    Raises:
        TableError: the content is not what the ending says, or takes more memory than there is.

    """
    try:
        if path.name.lower().endswith(".parquet"):
            return read_parquet(path, file)
        return _read_csv(path, file, label)
    except MemoryError as exc:
        raise TableError(f"{path} takes more memory than there is; leave rows or columns out") from exc


def _read_csv(path: Path, file: BinaryIO, label: str) -> pd.DataFrame:
    with _unpacked(path, file) as text:
        names = _first_line(path, text)
    with _unpacked(path, file) as text:
        check_extent(path, text, len(names))
    _check_separator(path, names)
    check_names(path, names)
    header = [name if name.strip() else f"Unnamed: {place}" for place, name in enumerate(names)]
    with warnings.catch_warnings(), _unpacked(path, file) as text:
        # A row longer than the header is a mere warning to pandas, and its values would be cut off.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        try:
            return pd.read_csv(
                text,
                encoding="utf-8-sig",
                names=header,
                header=0,
                index_col=False,
                dtype={label: str},
                keep_default_na=False,
                na_values={name: [""] if name == label else _MISSING for name in header},
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as exc:
            if "out of memory" in str(exc):
                raise MemoryError from exc
            raise TableError(f"{path} is not a table: {_what_is_wrong(exc)}") from exc


@contextmanager
def _unpacked(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """Return a text table's bytes from the beginning, decompressed if the file's name says that it is compressed."""
    file.seek(0)
    if not path.name.lower().endswith(".gz"):
        yield file
        return
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(BinaryIO, unpacked)
    except (OSError, EOFError, zlib.error) as exc:
        raise TableError(
            f"{path} is not a whole gzip file; compress the .csv again, or name it .csv if it is not compressed"
        ) from exc


def _first_line(path: Path, text: BinaryIO) -> list[str]:
    """Read the first line that is not blank; what is not text is found out later."""
    lines = io.StringIO(text.read(LONGEST_LINE).decode("utf-8-sig", errors="replace"), newline="")
    try:
        return next((row for row in csv.reader(lines) if row), [])
    except csv.Error as exc:
        raise TableError(f"{path} is not a table: its first line holds no column names; save it again") from exc


def _check_separator(path: Path, names: list[str]) -> None:
    if len(names) == 1:
        for mark, plural in _SEPARATORS.items():
            if mark in names[0]:
                raise TableError(f"{path} separates its columns with {plural} ({mark!r}); save it with commas")


def _what_is_wrong(exc: Exception) -> str:
    """Translate pandas' message into plain words; its own wording is for programmers."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(exc))
    if found:
        wanted, line, seen = found.groups()
        return f"line {line} has {seen} values where the header has {wanted}; check the commas and quotes in it"
    if isinstance(exc, pd.errors.ParserWarning):
        return "its rows have more values than the header has names; name every column in the header"
    return "its quotes or line ends do not match; save it again as CSV"


def read_parquet(path: Path, file: BinaryIO) -> pd.DataFrame:
    """Read a table of numbers, texts and dates; lists are read where each holds one value.

    Texts are kept once for each value they have, so that a file of a few KB does not become a table of many GB.

    Raises:
        TableError: it is not a Parquet file, holds columns of another kind, or takes more memory than there is.

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
    """Reject what is not a single value a row, by its type and before it is read."""
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
    """Unwrap single values from their lists, and convert decimals to numbers."""
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
