"""The comparison for people and for programs: a table in the terminal, a section of the documentation, JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.peers.contestants.roster import REFERENCE
from benchmarks.peers.measuring.results import MEASURES, Result
from benchmarks.peers.report.numbers import number, written
from benchmarks.peers.report.ratios import figures
from benchmarks.peers.report.verdict import best_of, not_first
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.report import figure_table, markdown_table

BEGIN: Final = "<!-- peers: begin; written by `python -m benchmarks.peers --write` -->"
END: Final = "<!-- peers: end -->"


@dataclass(frozen=True)
class Comparison:
    """All that one run says."""

    table: str
    """What the stack was trained on."""
    machine: Machine
    rounds: int
    quick: bool
    results: Sequence[Result]

    def remarks(self) -> list[str]:
        """Return what speaks against the figures."""
        chosen = "the figures are those of the quietest run, and how far its rounds lay apart is said below"
        said = self.machine.remarks(chosen)
        if self.quick:
            said.append("Measured with --quick: one short round, rough figures.")
        said += [
            f"{each.name} gave no figures: {each.failure.splitlines()[0]}" for each in self.results if each.failure
        ]
        return said

    @property
    def columns(self) -> list[Result]:
        """Those that are a column of the table."""
        return [each for each in self.results if not each.beside]

    def behind(self) -> list[str]:
        """Return where GenreStack is not first."""
        return not_first(self.columns, REFERENCE)

    def about(self) -> list[str]:
        """Return what was measured, where and when."""
        machine = self.machine
        where = f"{machine.cpu}, {machine.threads} CPUs; {machine.system}; Python {machine.python}"
        return [
            f"Stack: the notebook's, trained on {self.table}.",
            f"Machine: {where}; load {machine.load:.2f} at the start.",
            f"Rounds, in each of which every contestant had its turn: {self.rounds}. Date: {machine.date}.",
        ]


def lines(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the table: a line for each measure, a cell for each contestant, the best in bold."""
    table = []
    for measure in MEASURES:
        best = best_of(measure, comparison.columns)
        name = measure.name if measure.name.endswith(measure.unit) else f"{measure.name}, {measure.unit}"
        cells = [written(measure, each.values).removesuffix(f" {measure.unit}") for each in comparison.columns]
        bold = [each.values.get(measure.key) == best is not None for each in comparison.columns]
        table.append((name, *(f"**{cell}**" if best else cell for cell, best in zip(cells, bold, strict=True))))
    return table


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the table with what belongs to it."""
    table = Table("", *(each.name for each in comparison.columns))
    for name, *cells in lines(comparison):
        table.add_row(name, *(f"[bold]{cell.strip('*')}[/bold]" if cell.startswith("**") else cell for cell in cells))
    console.print(table)
    console.print("Where GenreStack is not first:", highlight=False)
    for line in comparison.behind() or ["nowhere in this run"]:
        console.print(f"- {line}", highlight=False)
    if compared := figures(comparison.results):
        console.print(figure_table(compared))
        console.print(agreement(comparison.results), highlight=False)
    for line in (*comparison.about(), *comparison.remarks()):
        console.print(line, highlight=False)


def to_json(comparison: Comparison) -> str:
    """Write the comparison as JSON, each round by itself as well."""
    derived = {"behind": comparison.behind(), "beside": [asdict(figure) for figure in figures(comparison.results)]}
    return json.dumps({**asdict(comparison), **derived}, indent=2, ensure_ascii=False) + "\n"


def to_markdown(comparison: Comparison, picture: str) -> str:
    """Write the section of the documentation; `picture` is the drawing's place as seen from the page."""
    names = tuple(each.name for each in comparison.columns)
    contestants = [(f"**{each.name}**", each.how, _versions(each)) for each in comparison.results]
    paragraphs = [
        *(f"**{line}**" for line in comparison.remarks()),
        f"![What the table below says, as points on logarithmic scales]({picture})",
        _table(("", *names), lines(comparison)),
        "**Where GenreStack is not first** (the better of its two; derived from the table):",
        "\n".join(f"- {_safe(line)}" for line in comparison.behind() or ["nowhere in this run"]),
        *_beside(comparison.results),
        "How each ran:",
        _table(("", "settings", "versions"), contestants),
        "How far the rounds lay apart, p50 of 1 row with 1 caller, ms: " + _spread(comparison.columns) + ".",
        "\n".join(f"- {line}" for line in comparison.about()),
    ]
    return "\n\n".join(paragraphs)


def _beside(results: Sequence[Result]) -> list[str]:
    compared = figures(results)
    how = "a ratio above 1 speaks for what is measured, one below for its baseline"
    head = f"Beside MLServer with the same pickle, by gRPC and by HTTP; {how}:"
    return [head, markdown_table(compared).rstrip(), agreement(results)] if compared else []


def agreement(results: Sequence[Result]) -> str:
    """Return how far the answers by HTTP lie from scikit-learn's."""
    said = [
        f"{each.name} {number(each.values['apart'])}, {number(each.values['labels'])} % of the labels"
        for each in results
        if each.beside and each.values
    ]
    return f"Answers by HTTP beside scikit-learn's, max |Δp|: {'; '.join(said) or 'none'}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    written_rows = [tuple(map(_safe, row)) for row in (head, ("---",) * len(head), *rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in written_rows)


def _safe(text: str) -> str:
    return text.replace("|", "\\|")


def _versions(result: Result) -> str:
    return ", ".join(f"{name} {version}" for name, version in result.versions.items())


def _spread(results: Sequence[Result]) -> str:
    found = {each.name: [values["one_p50"] for values in each.rounds] for each in results if each.rounds}
    return "; ".join(f"{name} {number(min(values))} to {number(max(values))}" for name, values in found.items())
