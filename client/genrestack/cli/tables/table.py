"""Feature tables as a stream of batches, read without pandas."""

import csv
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from genrestack.cli.tables.parquet import open_parquet
from genrestack.cli.tables.table_error import TableError
from genrestack_common.tables.dialect import separators_name, sniff, text_stream
from genrestack_common.tables.errors import TableFileError
from genrestack_common.tables.packing import KINDS, is_parquet, is_text_table, unpacked

IDENTIFIERS: Final = ("filename", "length")
"""Columns of the published layout that tell rows apart and are not features."""
_LONGEST_ROW: Final = 2**24
"""Characters."""

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
class InputTable:
    """An open table."""

    path: Path
    header: list[str]
    size: int
    """What `Chunk.position` comes to at the end."""
    chunks: Iterator[Chunk]
    decimal: str = "."
    """The mark before a number's fraction."""


def is_table(path: Path) -> bool:
    """Return, by its name, whether a file is a table."""
    return is_text_table(path.name) or is_parquet(path.name)


@contextmanager
def open_table(path: Path, rows_per_chunk: int, numeric: Collection[str] | None = None) -> Iterator[InputTable]:
    """Open a table; its rows are read as the chunks are taken.

    Args:
        path: the file.
        rows_per_chunk: at most.
        numeric: the columns whose numbers will be read; None for all.

    Raises:
        TableError: the file is not there, not a table, or broken.

    """
    if not is_table(path):
        raise TableError(f"{path} is not a table; name one that ends in {KINDS}")
    if not path.is_file():
        raise TableError(f"{path}: there is no such file; check the path")
    with ExitStack() as stack:
        with _readable(path):
            if is_parquet(path.name):
                table = stack.enter_context(_open_parquet(path, rows_per_chunk))
            else:
                table = stack.enter_context(_open_text(path, rows_per_chunk, numeric))
        yield replace(table, chunks=_guarded(path, table.chunks))


def _guarded(path: Path, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    with _readable(path):
        yield from chunks


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except TableFileError as error:
        raise TableError(error.of(path)) from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise TableError(f"{path} is not text in UTF-8, nor all of it in UTF-16; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path} is not CSV as Python reads it: {error}") from error


@contextmanager
def _open_text(path: Path, rows_per_chunk: int, numeric: Collection[str] | None) -> Iterator[InputTable]:
    with path.open("rb") as raw:
        with unpacked(path.name, raw) as stream:
            dialect = sniff(stream, None if numeric is None else lambda _: numeric)
        if not dialect.header:
            raise TableError(f"{path} is empty; its first line has to name the columns")
        with unpacked(path.name, raw) as stream, text_stream(stream, dialect) as text:
            lines = _Lines(path, text, len(dialect.skipped.splitlines()))
            rows = csv.reader(lines, delimiter=dialect.separator, skipinitialspace=True)
            next(row for row in rows if row)
            width, separators = len(dialect.header), separators_name(dialect.separator)
            chunks = _text_chunks(path, lines.each_row(rows), width, separators, rows_per_chunk, raw.tell)
            yield InputTable(path, list(dialect.header), path.stat().st_size, chunks, dialect.decimal)


class _Lines:
    """The lines of a table; no row of it, of however many lines and cells, goes on without end."""

    def __init__(self, path: Path, text: IO[str], before: int) -> None:
        self._path = path
        self._text = text
        self._letters = 0
        self._quotes = 0
        self._number = before

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(_LONGEST_ROW + 1):
            self._number += 1
            self._letters += len(line)
            self._quotes += line.count('"')
            if self._letters > _LONGEST_ROW:
                raise TableError(f"{self._path}, line {self._number}: a row of more than {_LONGEST_ROW:,} characters")
            yield line

    def each_row(self, rows: Iterator[Cells]) -> Iterator[tuple[int, Cells]]:
        """Yield the rows that are made of these lines, each with the number of its last line."""
        self._letters = self._quotes = 0
        last = self._number
        for cells in rows:
            if self._number > last + 1 and self._quotes % 2:
                raise TableError(f"{self._path}, line {last + 1}: a quote that begins there has no end; close it")
            self._letters = self._quotes = 0
            last = self._number
            yield self._number, cells


def _text_chunks(
    path: Path,
    rows: Iterator[tuple[int, Cells]],
    width: int,
    separators: str,
    rows_per_chunk: int,
    position: Callable[[], int],
) -> Iterator[Chunk]:
    chunk = Chunk([], [], 0)
    for number, cells in rows:
        if not any(map(str.strip, cells)):
            continue  # nothing in it, whether or not it has separators
        if len(cells) != width:
            raise TableError(
                f"{path}, line {number}: {len(cells)} cells, but the header has {width}; check the {separators} and "
                "quotes in it"
            )
        chunk.places.append(f"line {number}")
        chunk.rows.append(cells)
        if len(chunk.rows) == rows_per_chunk:
            yield Chunk(chunk.places, chunk.rows, position())
            chunk = Chunk([], [], 0)
    if chunk.rows:
        yield Chunk(chunk.places, chunk.rows, position())


@contextmanager
def _open_parquet(path: Path, rows_per_chunk: int) -> Iterator[InputTable]:
    with path.open("rb") as file, open_parquet(path, file, rows_per_chunk) as (names, rows, batches):
        yield InputTable(path, names, rows, _parquet_chunks(batches))


def _parquet_chunks(batches: Iterator[list[Cells]]) -> Iterator[Chunk]:
    done = 0
    for rows in batches:
        places = [f"row {done + number}" for number in range(len(rows))]
        done += len(rows)
        yield Chunk(places, rows, done)
