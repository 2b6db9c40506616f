"""Which column of a table is which feature of a model, and the numbers in them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack.cli.tables.table import IDENTIFIERS, Cells, Chunk, InputTable
from genrestack.cli.tables.table_error import TableError
from genrestack.errors import InvalidInput
from genrestack_common.extractors import COLUMN, OTHER_TAGGER, Extractor, same_tagger
from genrestack_common.tables.numbers import MISSING, advice, plain_number
from genrestack_common.text import quoted, quoted_list

# As training reads them.
_TRUTHS = {"true": 1.0, "false": 0.0}
# No more digits than any row has: the text is the server's.
_ROW = re.compile(r"rows\[([0-9]{1,12})\]")


@dataclass(frozen=True)
class Columns:
    """Places of what matters among the columns of one table."""

    features: list[int]
    """In the model's order."""
    names: list[str]
    identifier: int | None
    """The column that names a row."""
    label: int | None
    """The column with the true label."""
    ignored: list[str]
    """Columns that are neither of these."""
    may_miss: frozenset[str] = frozenset()
    """Features whose cells may be empty."""
    extractor: int | None = None
    """The column that says what computed the features."""
    taken: Extractor | None = None
    """What has to have computed them, where the model says it."""


@dataclass(frozen=True)
class TableBatch:
    """Rows ready to be asked, with what the table says about them."""

    rows: npt.NDArray[np.float64]
    """Shape (n, f), finite as float32; NaN where a value is missing that may be."""
    identifiers: list[str]
    """One for each row, or none."""
    truths: list[str]
    """The table's own labels: one for each row, or none."""
    position: int
    """As `Chunk.position`."""
    places: list[str]
    """Where each row stands, for a person."""


def match_columns(
    table: InputTable,
    features: Sequence[str],
    label: str,
    may_miss: frozenset[str] = frozenset(),
    taken: Extractor | None = None,
) -> Columns:
    """Find the model's features by name; their order in the table does not matter. Some of them may have empty cells.

    Raises:
        TableError: a feature is missing or there twice.

    """
    place = {name: column for column, name in reversed(list(enumerate(table.header)))}
    if missing := [name for name in features if name not in place]:
        raise TableError(
            f"{table.path} lacks {len(missing)} of the {len(features)} features of the model: {quoted_list(missing)}; "
            "genrestack models --json lists them all"
        )
    times = Counter(table.header)
    for name in features:
        if times[name] > 1:
            raise TableError(f"{table.path} has the column {quoted(name)} twice; keep one of them")
    known = set(features)
    # Only a model that knows its tagger says something of the column.
    meant = {*known, label, *IDENTIFIERS, *([] if taken is None else [COLUMN])}
    return Columns(
        features=[place[name] for name in features],
        names=list(features),
        identifier=None if IDENTIFIERS[0] in known else place.get(IDENTIFIERS[0]),
        label=None if label in known else place.get(label),
        ignored=[name for name in table.header if name not in meant],
        may_miss=may_miss,
        extractor=None if taken is None or COLUMN in known else place.get(COLUMN),
        taken=taken,
    )


def batches(table: InputTable, columns: Columns) -> Iterator[TableBatch]:
    """Read the table batch by batch.

    Raises:
        TableError: a cell is not a number that float32 can hold; or there is no row at all.

    """
    empty = True
    for chunk in table.chunks:
        empty = False
        _check_extractor(table, columns, chunk)
        rows = np.empty((len(chunk.rows), len(columns.features)))
        for number, cells in enumerate(chunk.rows):
            rows[number] = _numbers(table, columns, cells, chunk.places[number])
        _check_finite(table, columns, chunk, rows)
        # Training takes the blanks around a label off.
        truths = [text.strip() for text in _texts(chunk, columns.label)]
        yield TableBatch(rows, _texts(chunk, columns.identifier), truths, chunk.position, chunk.places)
    if empty:
        raise TableError(f"{table.path} has a header and no rows; add rows below the header")


def located(error: InvalidInput, path: Path, batch: TableBatch) -> TableError:
    """Return the error that the server found in a batch with its place in the table."""
    if not error.violations:
        return TableError(f"{path}: {error}")
    first = error.violations[0]
    row = _ROW.match(first.field)
    if row is None or int(row[1]) >= len(batch.places):
        return TableError(f"{path}: {first.field}: {first.description}")
    return TableError(f"{path}, {batch.places[int(row[1])]}: {first.description}")


def _check_extractor(table: InputTable, columns: Columns, chunk: Chunk) -> None:
    for place, text in zip(chunk.places, _texts(chunk, columns.extractor), strict=False):
        try:
            known: Extractor | None = Extractor.parse(text)
        except ValueError:
            known = None
        if not same_tagger(known, columns.taken):
            raise TableError(f"{table.path}, {place}: {OTHER_TAGGER.format(model='the model')}")


def _texts(chunk: Chunk, column: int | None) -> list[str]:
    return [] if column is None else [str(cells[column]) for cells in chunk.rows]


def _numbers(table: InputTable, columns: Columns, cells: Cells, place: str) -> list[float]:
    try:
        if table.decimal == ".":
            return [float(cells[column]) for column in columns.features]
        if not any("." in cells[column] for column in columns.features):
            return [float(cells[column].replace(",", ".", 1)) for column in columns.features]
        return [_float(str(cells[column]), table.decimal) for column in columns.features]
    except (TypeError, ValueError, OverflowError):
        return [
            _number(table, cells[column], place, name, may_miss=name in columns.may_miss)
            for column, name in zip(columns.features, columns.names, strict=True)
        ]


def _number(table: InputTable, cell: Any, place: str, name: str, *, may_miss: bool) -> float:
    if may_miss and (cell is None or str(cell).strip() in MISSING):
        return float("nan")
    where = f"{table.path}, {place}, column {quoted(name)}"
    if cell is None or cell == "":
        raise TableError(f"{where} is empty; fill it in or leave the row out")
    text = str(cell).strip()
    try:
        return _float(text, table.decimal)
    except ValueError:
        what = f"{quoted(text)} is not a number{advice(text, table.decimal)}"
        raise TableError(f"{where}: {what}; correct it or leave the row out") from None


def _float(text: str, decimal: str) -> float:
    # librosa hands out the tempo as an array, which published tables hold as text: [89.1]
    truth = _TRUTHS.get(text.lower())
    return float(plain_number(text, decimal)) if truth is None else truth


def _check_finite(table: InputTable, columns: Columns, chunk: Chunk, rows: npt.NDArray[np.float64]) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows.astype(np.float32))
    if columns.may_miss:
        finite |= np.isnan(rows) & np.array([name in columns.may_miss for name in columns.names])
    if finite.all():
        return
    row, column = np.unravel_index(finite.argmin(), finite.shape)
    large = np.isfinite(rows[row, column])
    what = "is too large for float32" if large else "is not a finite number; fill it in or leave the row out"
    raise TableError(
        f"{table.path}, {chunk.places[row]}, column {quoted(columns.names[column])}: {rows[row, column]:g} {what}"
    )
