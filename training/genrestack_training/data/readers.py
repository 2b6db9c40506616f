"""File → DataFrame with every column of the header, for each kind of file; errors in plain words.

Memory is bounded before anything is kept: a text table is read twice, the first time only to count.
"""

import codecs
import io
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pandas as pd

from genrestack_common.tables.dialect import Dialect, separators_name, sniff
from genrestack_common.tables.errors import TableFileError
from genrestack_common.tables.numbers import MISSING
from genrestack_common.tables.packing import KINDS, is_parquet, is_text_table, unpacked
from genrestack_common.tables.parquet import check_single, is_list, is_text, not_single
from genrestack_training.config.settings import TableSettings
from genrestack_training.data.columns import check_names
from genrestack_training.data.limits import TEXT_BYTES, VALUE_BYTES, check_extent, check_fits
from genrestack_training.data.selection import dropped
from genrestack_training.errors import TableError

IDENTIFIERS: Final = ("filename", "length")
"""Columns that name a row and say nothing of how it sounds: dropped from the features and remembered."""
_BROKEN: Final = "is not a Parquet file, or a broken one; write it again"
_PIECE: Final = 2**16


def check_kind(path: Path) -> None:
    """Reject a name with another ending than those of `read_frame`.

    Raises:
        TableError: as it says.

    """
    if not is_text_table(path.name) and not is_parquet(path.name):
        raise TableError(f"{path} is not a kind of table that can be read; use {KINDS}")


def read_frame(
    path: Path, file: BinaryIO, *, label: str, choice: TableSettings, needed: Collection[str]
) -> pd.DataFrame:
    """Read a table by the file's ending, one of `packing.KINDS`; `attrs["decimal"]` is the decimal mark of a text.

    The label column of a text file is read as text, exactly as it stands.

    Args:
        path: gives the ending, and names the file in messages.
        file: open, at its beginning; can seek.
        label: name of the label column.
        choice: columns that are left out; of a Parquet file they are not read.
        needed: columns that no pattern leaves out.

    Raises:
        TableError: the content is not what the ending says, or takes more memory than there is.

    """
    try:
        return (
            read_parquet(path, file, choice, needed)
            if is_parquet(path.name)
            else _read_text(path, file, label, choice, needed)
        )
    except TableFileError as exc:
        raise TableError(exc.of(path)) from exc
    except MemoryError as exc:
        raise TableError(f"{path} takes more memory than there is; leave rows or columns out") from exc


def _read_text(path: Path, file: BinaryIO, label: str, choice: TableSettings, needed: Collection[str]) -> pd.DataFrame:
    def numeric(names: tuple[str, ...]) -> set[str]:
        return set(names) - _dropped(path, list(names), choice, needed) - {*needed, *IDENTIFIERS}

    with unpacked(path.name, file) as stream:
        dialect = sniff(stream, numeric)
    with unpacked(path.name, file) as stream, _in_utf8(stream, dialect) as text:
        check_extent(path, text, len(dialect.header), dialect.separator)
    names = dialect.header
    check_names(path, names)
    header = [name or f"Unnamed: {place}" for place, name in enumerate(names)]
    with warnings.catch_warnings(), unpacked(path.name, file) as stream, _in_utf8(stream, dialect) as text:
        # A row longer than the header is a mere warning to pandas, and its values would be cut off.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        try:
            frame = pd.read_csv(
                text,
                sep=dialect.separator,
                decimal=dialect.decimal,
                skipinitialspace=True,
                encoding="utf-8",
                names=header,
                header=0,
                index_col=False,
                dtype={label: str},
                keep_default_na=False,
                # A label may well be called "NA" or "None".
                na_values={name: [""] if name == label else list(MISSING) for name in header},
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as exc:
            if "out of memory" in str(exc):
                raise MemoryError from exc
            raise TableError(f"{path} is not a table: {_what_is_wrong(exc, dialect)}") from exc
    frame.attrs["decimal"] = dialect.decimal
    return frame


@contextmanager
def _in_utf8(stream: BinaryIO, dialect: Dialect) -> Iterator[BinaryIO]:
    """Yield a table's text from its header on, as UTF-8."""
    if dialect.encoding == "utf-8":
        before = stream.read(dialect.mark + len(dialect.skipped.encode()))
        # What is not text has another length than what was made of it.
        if before[dialect.mark :] != dialect.skipped.encode():
            raise TableFileError("is not text in UTF-8, before its header; save the table as CSV in UTF-8")
        yield stream
        return
    stream.read(dialect.mark)
    with io.BufferedReader(_Transcoded(stream, dialect.encoding), _PIECE) as text:
        text.read(len(dialect.skipped.encode()))
        yield cast(BinaryIO, text)


class _Transcoded(io.RawIOBase):
    """A text's bytes in UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._waiting = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # typeshed names no type to override
        """Fill the buffer from the beginning; return how many bytes there were."""
        while not self._waiting:
            piece = self._stream.read(_PIECE)
            try:
                self._waiting = self._decoder.decode(piece, final=not piece).encode()
            except UnicodeError as exc:
                raise TableFileError(f"is not text in {self._encoding}; save the table as CSV in UTF-8") from exc
            if not piece:
                break
        data, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _what_is_wrong(exc: Exception, dialect: Dialect) -> str:
    """Translate pandas' message into plain words; its own wording is for programmers."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(exc))
    if found:
        wanted, line, seen = map(int, found.groups())
        line += len(dialect.skipped.splitlines())
        return (
            f"line {line} has {seen} values where the header has {wanted}; check the "
            f"{separators_name(dialect.separator)} and quotes in it"
        )
    if isinstance(exc, pd.errors.ParserWarning):
        return "its rows have more values than the header has names; name every column in the header"
    return "its quotes or line ends do not match; save it again as CSV"


def read_parquet(path: Path, file: BinaryIO, choice: TableSettings, needed: Collection[str]) -> pd.DataFrame:
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
        out = _dropped(path, [field.name for field in fields], choice, needed)
        fields = [field for field in fields if field.name not in out]
        for field in fields:
            _check_kind(field)
        _check_extent(path, opened)
        texts = [field.name for field in fields if is_text(field.type)]
        kept = [field.name for field in fields]
        columns = pq.ParquetFile(file, read_dictionary=texts).read(kept if out else None, use_threads=False)
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
    # Columns left out stay, without values, so that errors about columns can list them.
    for name in out:
        frame[name] = None
    return frame


def _dropped(path: Path, names: list[str], choice: TableSettings, needed: Collection[str]) -> set[str]:
    try:
        return dropped(names, choice, needed)
    except TableError as exc:
        raise TableError(f"{path}: {exc}") from None


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


def _check_kind(field: Any) -> None:
    """Reject what is not a single value a row, by its type and before it is read."""
    import pyarrow.types as kinds

    check_single(field.name, field.type)
    kind = field.type.value_type if is_list(field.type) or kinds.is_dictionary(field.type) else field.type
    single = (
        kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal, kinds.is_null, kinds.is_timestamp,
        kinds.is_date, kinds.is_duration, is_text,
    )  # fmt: skip
    if not any(is_kind(kind) for is_kind in single):
        raise not_single(field.name, field.type, "values of another kind")


def _plain(path: Path, name: str, column: Any) -> Any:
    """Unwrap single values from their lists, and convert decimals to numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_list(column.type):
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
