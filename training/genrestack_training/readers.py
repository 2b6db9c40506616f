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
from typing import BinaryIO, Final, cast

import pandas as pd

from genrestack_training.errors import TableError
from genrestack_training.extent import LONGEST_LINE, check_extent
from genrestack_training.header import check_names
from genrestack_training.parquet import read_parquet

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
# What pandas takes for "nothing here" in a feature; a label may well be called "NA" or "None".
_MISSING: Final = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"]
_KINDS: Final = (".csv", ".csv.gz", ".parquet")


def check_kind(path: Path) -> None:
    """Refuse a name with another ending than those of `read_frame`.

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
    """Give a text table's bytes from the beginning, unpacked if the file's name says that it is packed."""
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
    """Read the first line that is not blank; what is no text is found out later."""
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
    """Say in plain words what pandas found; its own wording is for programmers."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(exc))
    if found:
        wanted, line, seen = found.groups()
        return f"line {line} has {seen} values where the header has {wanted}; check the commas and quotes in it"
    if isinstance(exc, pd.errors.ParserWarning):
        return "its rows have more values than the header has names; name every column in the header"
    return "its quotes or line ends do not match; save it again as CSV"
