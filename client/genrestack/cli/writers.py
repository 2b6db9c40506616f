"""What `genrestack predict` prints: a readable table, CSV or JSON."""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from genrestack._core.model_answers import check_parts
from genrestack.cli.neighbors import neighbor_cells, neighbor_columns, neighbor_text
from genrestack.cli.terminal import cell, json_text, show_boxed, show_lines
from genrestack.model_info import ModelInfo
from genrestack.prediction import Neighbor, Prediction
from genrestack_common.text import printable, quoted_list

if TYPE_CHECKING:
    from rich.table import Table

_RUNNERS_UP = 2


@dataclass(frozen=True)
class Answers:
    """The answers to some consecutive rows of one file."""

    path: Path
    first: int
    """Number of the first of these rows in its file, from 0."""
    identifiers: list[str]
    truths: list[str]
    prediction: Prediction

    def __iter__(self) -> "Iterator[RowAnswer]":
        top = self.prediction.top(_RUNNERS_UP + 1)
        for row, label in enumerate(self.prediction.labels):
            yield RowAnswer(
                path=str(self.path),
                row=self.first + row,
                identifier=self.identifiers[row] if self.identifiers else None,
                truth=self.truths[row] if self.truths else None,
                label=label,
                top=top[row],
                probabilities=self._by_class(self.prediction.probabilities[row]),
                base={name: self._by_class(matrix[row]) for name, matrix in self.prediction.base.items()},
                neighbors=self.prediction.neighbors[row] if self.prediction.neighbors else (),
            )

    def _by_class(self, row: Any) -> dict[str, float]:
        # Nine digits give back every float32 exactly; fewer would be nicer to look at and wrong.
        return {name: float(f"{value:.9g}") for name, value in zip(self.prediction.classes, row, strict=True)}


@dataclass(frozen=True)
class RowAnswer:
    """The answer to one row."""

    path: str
    row: int
    identifier: str | None
    truth: str | None
    label: str
    top: list[tuple[str, float]]
    probabilities: dict[str, float]
    base: dict[str, dict[str, float]]
    neighbors: tuple[Neighbor, ...] = ()


@dataclass
class Tally:
    """Counts what was right, where the table says what is."""

    rows: int = 0
    judged: int = 0
    right: int = 0
    truths: set[str] = field(default_factory=set)

    def add(self, answers: Answers) -> None:
        """Count some answers."""
        self.rows += len(answers.prediction)
        self.judged += len(answers.truths)
        self.right += sum(t == p for t, p in zip(answers.truths, answers.prediction.labels, strict=False))
        self.truths.update(answers.truths)

    @property
    def accuracy(self) -> float | None:
        """Share of right answers among the rows that have a label; None without any."""
        return self.right / self.judged if self.judged else None

    def headline(self) -> str:
        """Return one line; empty without labels."""
        if self.accuracy is None:
            return ""
        return f"accuracy {self.accuracy:.4f}: {self.right:,} of {self.judged:,} labelled rows"

    def notes(self, classes: Sequence[str]) -> list[str]:
        """Describe it."""
        lines = []
        if self.judged and (strange := sorted(self.truths - set(classes))):
            lines.append(f"labels the model does not know, which count as wrong: {quoted_list(strange)}")
        return lines


class Writer(Protocol):
    """Prints answers as they come."""

    streams: bool
    """Whether `write` prints at once."""

    def write(self, answers: Answers) -> None:
        """Write some answers."""

    def close(self, tally: Tally) -> None:
        """Finish."""


def make_writer(
    form: str | None, info: ModelInfo, *, base: bool, limit: int, several: bool, neighbors: int = 0
) -> Writer:
    """Choose by the form asked for: "json", "csv", or None for a readable table of at most `limit` rows."""
    if form == "json":
        return JsonWriter(info)
    if form == "csv":
        parts = [part.name for part in info.parts if part.kind == "base"] if base else []
        return CsvWriter(info, parts, neighbors)
    return TableWriter(limit=limit, several=several)


class CsvWriter:
    """`file, row, filename, label, predicted, probability`, a column a class, the same for each part, neighbours."""

    streams = True

    def __init__(self, info: ModelInfo, parts: Sequence[str], neighbors: int = 0) -> None:
        self._parts = parts
        self._neighbors = neighbors
        self._out = csv.writer(sys.stdout, lineterminator="\n")
        wide = [f"{part}.{name}" for part in parts for name in info.classes]
        fixed = ["file", "row", "filename", "label", "predicted", "probability"]
        self._out.writerow(
            map(cell, [*fixed, *(f"p.{name}" for name in info.classes), *wide, *neighbor_columns(neighbors)])
        )

    def write(self, answers: Answers) -> None:
        """Print one line a row; `filename` and `label` stay empty where the table has none.

        Raises:
            ProtocolError: other base estimators answered than those in the heading.

        """
        check_parts(self._parts, answers.prediction)
        for answer in answers:
            likeliest = answer.probabilities[answer.label]
            texts = [cell(text) for text in (answer.identifier, answer.truth, answer.label)]
            wide = [value for part in self._parts for value in answer.base[part].values()]
            numbers = [likeliest, *answer.probabilities.values(), *wide]
            near = neighbor_cells(answer.neighbors, self._neighbors)
            self._out.writerow([cell(answer.path), answer.row, *texts, *numbers, *near])

    def close(self, tally: Tally) -> None:
        """Nothing is left to print."""


class JsonWriter:
    """One object: model, version, classes, rows, and accuracy where there are labels."""

    streams = True

    def __init__(self, info: ModelInfo) -> None:
        head = json_text({"model": info.name, "version": info.version, "classes": list(info.classes)})
        click.echo(head[:-1] + ', "rows": [', nl=False)
        self._separator = "\n"

    def write(self, answers: Answers) -> None:
        """Print one line a row."""
        for answer in answers:
            click.echo(self._separator + json_text(_fields(answer)), nl=False)
            self._separator = ",\n"

    def close(self, tally: Tally) -> None:
        """Complete the object."""
        click.echo(f'\n], "accuracy": {json_text(tally.accuracy)}}}')


def _fields(answer: RowAnswer) -> dict[str, object]:
    known: dict[str, object] = {"file": answer.path, "row": answer.row}
    if answer.identifier is not None:
        known["filename"] = answer.identifier
    if answer.truth is not None:
        known["label"] = answer.truth
    known |= {"predicted": answer.label, "probabilities": answer.probabilities}
    known |= {"base": answer.base} if answer.base else {}
    return known | ({"neighbors": [asdict(near) for near in answer.neighbors]} if answer.neighbors else {})


class TableWriter:
    """A table for people, of the first rows."""

    streams = False

    def __init__(self, *, limit: int, several: bool) -> None:
        self._limit = limit
        self._several = several
        self._shown: list[RowAnswer] = []

    def write(self, answers: Answers) -> None:
        """Keep what will be shown."""
        if len(self._shown) < self._limit:
            self._shown += list(answers)[: self._limit - len(self._shown)]

    def close(self, tally: Tally) -> None:
        """Print how many were right, if that is known, then the table, and how many rows it leaves out."""
        if headline := tally.headline():
            show_boxed(headline)
        _show(self._shown, several=self._several)
        if tally.rows > len(self._shown):
            show_lines(f"… and {tally.rows - len(self._shown):,} more rows (--limit 0 shows all, --csv prints them)")


_WIDEST: Final = 100_000
"""Columns; no table is as wide."""


def _show(answers: Sequence[RowAnswer], *, several: bool) -> None:
    """Print answers as a table of what fits into a line; where not even the labels do, one below the other."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    for runners_up in range(_RUNNERS_UP, -1, -1):
        table = _readable(answers, several=several, runners_up=runners_up)
        measured = Measurement.get(console, console.options.update(max_width=_WIDEST), table)
        if measured.maximum <= console.width:
            console.print(table)
            return
    for answer in answers:
        for number, line in enumerate(_lines(answer, several=several)):
            show_lines(printable(line), hanging="    " if number else "  ")


def _readable(answers: Sequence[RowAnswer], *, several: bool, runners_up: int) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    judged = any(answer.truth is not None for answer in answers)
    parts = list(answers[0].base) if answers else []
    near = any(answer.neighbors for answer in answers)
    table = Table(box=box.SIMPLE)
    headings = [
        "row",
        "label",
        "p",
        *(["runners-up"] if runners_up else []),
        *parts,
        *(["nearest"] if near else []),
        *(["in the table"] if judged else []),
    ]
    for heading in headings:
        table.add_column(escape(printable(heading)), no_wrap=True)
    for answer in answers:
        cells = [_row_name(answer, several=several), answer.label, f"{answer.probabilities[answer.label]:.3f}"]
        cells += [_runners_up(answer, runners_up)] if runners_up else []
        cells += [_likeliest(answer.base[part]) for part in parts]
        cells += [", ".join(map(neighbor_text, answer.neighbors))] if near else []
        cells += [answer.truth or ""] if judged else []
        table.add_row(*(escape(printable(text)) for text in cells), style=None if _is_right(answer) else "red")
    return table


def _lines(answer: RowAnswer, *, several: bool) -> Iterator[str]:
    yield f"{_row_name(answer, several=several)}: {answer.label} {answer.probabilities[answer.label]:.3f}"
    if not _is_right(answer):
        yield f"  in the table: {answer.truth}"
    yield f"  runners-up: {_runners_up(answer, _RUNNERS_UP)}"
    if answer.neighbors:
        yield f"  nearest: {', '.join(map(neighbor_text, answer.neighbors))}"
    if answer.base:
        yield "  " + ", ".join(f"{part}: {_likeliest(probabilities)}" for part, probabilities in answer.base.items())


def _is_right(answer: RowAnswer) -> bool:
    """Return whether the answer is what the table says, if it says anything."""
    return answer.truth is None or answer.truth == answer.label


def _runners_up(answer: RowAnswer, count: int) -> str:
    return ", ".join([f"{name} {p:.3f}" for name, p in answer.top if name != answer.label][:count])


def _likeliest(probabilities: dict[str, float]) -> str:
    return max(probabilities, key=probabilities.__getitem__)


def _row_name(answer: RowAnswer, *, several: bool) -> str:
    name = answer.identifier or str(answer.row)
    return f"{Path(answer.path).name}: {name}" if several else name
