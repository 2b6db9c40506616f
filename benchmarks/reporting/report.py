"""Figures for people and for programs: a table in the terminal, JSON, and the table in the documentation."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.reporting.figure import Figure
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between
from benchmarks.reporting.quiet import MEDIAN_RUN

COLUMNS = ("What", "Measured", "Baseline", "Ratio", "Target", "Met", "Note")
BEGIN = "<!-- figures: begin; written by `python -m benchmarks --write` -->"
END = "<!-- figures: end -->"


@dataclass(frozen=True)
class Report:
    """All that one run of the benchmarks says."""

    table: str
    """What the stack was trained on."""
    machine: Machine
    quick: bool
    figures: Sequence[Figure]
    left_out: Sequence[str] = ()
    """What was not measured for want of a tool."""

    def remarks(self) -> list[str]:
        """Return what speaks against the figures."""
        quick = ["Measured with --quick: few repetitions, rough figures."] if self.quick else []
        return [*self.machine.remarks(MEDIAN_RUN), *quick]

    def about(self) -> list[str]:
        """Return what was measured, where and when."""
        machine = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        return [
            f"Stack: the notebook's, trained on {self.table}.",
            f"Machine: {machine.cpu}, {machine.threads} CPUs; {machine.system}; load {machine.load:.2f} at the start.",
            f"Threads: {machine.threads} for every contestant.",
            *(f"Left out, for it is not installed: {tool}." for tool in self.left_out),
            f"Software: Python {machine.python}, {versions}.",
            f"Date: {machine.date}.",
        ]


def cells(figure: Figure) -> tuple[str, ...]:
    """Write a figure as the cells of a row."""
    unit = f" {figure.unit}" if figure.unit else ""
    against = f"{_number(figure.baseline.value)}{unit}, {figure.baseline.name}" if figure.baseline else ""
    ratio = "" if figure.ratio is None else f"{_number(figure.ratio)}×"
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return figure.name, f"{_number(figure.value)}{unit}", against, ratio, figure.target, met, figure.note


def figure_table(figures: Sequence[Figure]) -> Table:
    """Draw figures for the terminal."""
    table = Table(*COLUMNS)
    for figure in figures:
        table.add_row(*cells(figure), style="red" if figure.met is False else "")
    return table


def markdown_table(figures: Sequence[Figure]) -> str:
    """Write figures as a Markdown table."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(cells(figure) for figure in figures)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def print_report(report: Report, console: Console) -> None:
    """Print the table with what belongs to it."""
    console.print(figure_table(report.figures))
    for line in (*report.about(), *report.remarks()):
        console.print(line, highlight=False)
    asked = [figure.met for figure in report.figures if figure.met is not None]
    console.print(f"{sum(asked)} of {len(asked)} targets met.", highlight=False)


def to_json(report: Report) -> str:
    """Write the report as JSON."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n"


def write_into(path: Path, report: Report) -> None:
    """Replace what stands between the two marks in a Markdown file.

    Raises:
        ValueError: the file lacks the marks.

    """
    write_between(path, BEGIN, END, _markdown(report))


def _markdown(report: Report) -> str:
    remarks = "".join(f"**{line}**\n\n" for line in report.remarks())
    return remarks + markdown_table(report.figures) + "\n" + "".join(f"- {line}\n" for line in report.about())


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:.3g}"
