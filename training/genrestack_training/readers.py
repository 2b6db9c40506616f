"""File → DataFrame with every column of the header, for each kind of file; errors in plain words."""

import csv
import gzip
import io
import re
import warnings
import zlib
from collections import Counter
from pathlib import Path

import pandas as pd

from genrestack_training.errors import TableError

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
# What pandas takes for "nothing here" in a feature; a label may well be called "NA" or "None".
_MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"]


def read_frame(path: Path, content: bytes, *, label: str) -> pd.DataFrame:
    """Read a table's bytes by the file's ending: `.csv`, `.csv.gz` or `.parquet`.

    The label column of a text file is read as text, exactly as it stands.

    Raises:
        TableError: another ending, or the content is not what the ending says.

    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet(path, content)
    if name.endswith(".csv.gz"):
        return _read_csv(path, _decompressed(path, content), label)
    if name.endswith(".csv"):
        return _read_csv(path, content, label)
    raise TableError(f"{path} is not a kind of table that can be read; use .csv, .csv.gz or .parquet")


def _decompressed(path: Path, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as exc:
        raise TableError(
            f"{path} is not a whole gzip file; compress the .csv again, or name it .csv if it is not compressed"
        ) from exc


def _read_csv(path: Path, content: bytes, label: str) -> pd.DataFrame:
    header = _header(path, _text(path, content))
    with warnings.catch_warnings():
        # A row longer than the header is a mere warning to pandas, and its values would be cut off.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        try:
            return pd.read_csv(
                io.BytesIO(content),
                encoding="utf-8-sig",
                names=header,
                header=0,
                index_col=False,
                dtype={label: str},
                keep_default_na=False,
                na_values={name: [""] if name == label else _MISSING for name in header},
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as exc:
            raise TableError(f"{path} is not a table: {_what_is_wrong(exc)}") from exc


def _text(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise TableError(f"{path} is not text in UTF-8 (byte {exc.start + 1}); save the table as CSV in UTF-8") from exc
    if "\0" in text:
        raise TableError(f"{path} is not a text table: it holds zero bytes; save the table as CSV in UTF-8")
    if not text.strip():
        raise TableError(f"{path} is empty; a table has a header line and rows below it")
    return text


def _header(path: Path, text: str) -> list[str]:
    """Read the first line that is not blank, and refuse what pandas would quietly rename or misread."""
    try:
        names = next(row for row in csv.reader(io.StringIO(text, newline="")) if row)
    except csv.Error as exc:
        raise TableError(f"{path} is not a table: its first line holds no column names; save it again") from exc
    if len(names) == 1:
        for mark, plural in _SEPARATORS.items():
            if mark in names[0]:
                raise TableError(f"{path} separates its columns with {plural} ({mark!r}); save it with commas")
    _refuse_duplicates(path, names)
    return [name if name.strip() else f"Unnamed: {place}" for place, name in enumerate(names)]


def _refuse_duplicates(path: Path, names: list[str]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if double:
        places = ", ".join(str(i + 1) for i, name in enumerate(names) if name == double[0])
        raise TableError(f"{path} has the column {double[0]!r} more than once (columns {places}); rename or remove one")


def _what_is_wrong(exc: Exception) -> str:
    """Say in plain words what pandas found; its own wording is for programmers."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(exc))
    if found:
        wanted, line, seen = found.groups()
        return f"line {line} has {seen} values where the header has {wanted}; check the commas and quotes in it"
    if isinstance(exc, pd.errors.ParserWarning):
        return "its rows have more values than the header has names; name every column in the header"
    return "its quotes or line ends do not match; save it again as CSV"


def _read_parquet(path: Path, content: bytes) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_table(pa.BufferReader(content))
        _refuse_duplicates(path, columns.column_names)
        # Without pandas' metadata an index comes back as the column that it was written as.
        frame: pd.DataFrame = columns.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as exc:
        raise TableError(f"{path} is not a Parquet file, or a broken one; write it again") from exc
    return frame
