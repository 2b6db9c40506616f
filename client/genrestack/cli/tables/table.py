"""Feature tables as a stream of batches, read without pandas."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, cast

from genrestack.cli.tables.parquet import open_parquet
from genrestack.cli.tables.table_error import TableError

IDENTIFIERS: Final = ("filename", "length")
"""Columns of the published layout that tell rows apart and are no features."""
_LONGEST_ROW: Final = 2**24
"""Characters."""
_SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")

Cells = list[Any]


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows, cells as the file has them."""

    places: list[str]
    """Where each row stands, for a person: `line 14`."""
    rows: list[Cells]
    position: int
    """Bytes (rows of a parquet file) read so far."""


@dataclass(frozen=True)
class Table:
    """An open table."""

    path: Path
    header: list[str]
    size: int
    """What `Chunk.position` comes to at the end."""
    chunks: Iterator[Chunk]


def is_table(path: Path) -> bool:
    """Return, by its name, whether a file is a table."""
    return path.name.lower().endswith(_SUFFIXES)


@contextmanager
def open_table(path: Path, rows_per_chunk: int) -> Iterator[Table]:
    """Open a table; its rows are read as the chunks are taken.

    Raises:
        TableError: the file is not there, not a table, or broken.

    """
    if not is_table(path):
        raise TableError(f"{path} is not a table (.csv, .csv.gz, .parquet)")
    if not path.is_file():
        raise TableError(f"{path}: there is no such file; check the path")
    reader = _open_parquet if path.name.lower().endswith(".parquet") else _open_csv
    with ExitStack() as stack:
        with _readable(path):
            table = stack.enter_context(reader(path, rows_per_chunk))
        yield replace(table, chunks=_guarded(path, table.chunks))


def _guarded(path: Path, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    with _readable(path):
        yield from chunks


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except gzip.BadGzipFile as error:
        raise TableError(f"{path} is not gzip, whatever its name says") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text; save it as UTF-8 CSV") from error
    except (EOFError, zlib.error) as error:
        raise TableError(f"{path} is cut off or damaged; it does not unpack as gzip") from error
    except csv.Error as error:
        raise TableError(f"{path} is not CSV as Python reads it: {error}") from error


@contextmanager
def _open_csv(path: Path, rows_per_chunk: int) -> Iterator[Table]:
    with path.open("rb") as raw:
        unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=raw) if path.name.lower().endswith(".gz") else raw)
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline="") as text:
            lines = _Lines(path, text)
            rows = csv.reader(lines)
            header = [name.strip() for name in next(rows, [])]
            if not header:
                raise TableError(f"{path} is empty; its first line has to name the columns")
            chunks = _csv_chunks(path, lines.each_row(rows), len(header), rows_per_chunk, raw.tell)
            yield Table(path, header, path.stat().st_size, chunks)


class _Lines:
    """The lines of a table; no row of it, of however many lines and cells, goes on without end."""

    def __init__(self, path: Path, text: IO[str]) -> None:
        self._path = path
        self._text = text
        self._letters = 0
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(_LONGEST_ROW + 1):
            self._number += 1
            self._letters += len(line)
            if self._letters > _LONGEST_ROW:
                raise TableError(f"{self._path}, line {self._number}: a row of more than {_LONGEST_ROW:,} characters")
            yield line

    def each_row(self, rows: Iterator[Cells]) -> Iterator[tuple[int, Cells]]:
        """Yield the rows that are made of these lines, each with the number of its last line."""
        self._letters = 0
        for cells in rows:
            self._letters = 0
            yield self._number, cells


def _csv_chunks(
    path: Path, rows: Iterator[tuple[int, Cells]], width: int, rows_per_chunk: int, position: Callable[[], int]
) -> Iterator[Chunk]:
    chunk = Chunk([], [], 0)
    for number, cells in rows:
        if not cells:
            continue
        if len(cells) != width:
            raise TableError(f"{path}, line {number}: {len(cells)} cells, but the header has {width}")
        chunk.places.append(f"line {number}")
        chunk.rows.append(cells)
        if len(chunk.rows) == rows_per_chunk:
            yield Chunk(chunk.places, chunk.rows, position())
            chunk = Chunk([], [], 0)
    if chunk.rows:
        yield Chunk(chunk.places, chunk.rows, position())


@contextmanager
def _open_parquet(path: Path, rows_per_chunk: int) -> Iterator[Table]:
    with path.open("rb") as file, open_parquet(path, file, rows_per_chunk) as (names, rows, batches):
        yield Table(path, names, rows, _parquet_chunks(batches))


def _parquet_chunks(batches: Iterator[list[Cells]]) -> Iterator[Chunk]:
    done = 0
    for rows in batches:
        places = [f"row {done + number}" for number in range(len(rows))]
        done += len(rows)
        yield Chunk(places, rows, done)
