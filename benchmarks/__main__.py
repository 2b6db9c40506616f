"""Measure everything against its baseline, in one run: `python -m benchmarks`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from benchmarks.contestants.prepared import Prepared, prepare
from benchmarks.reporting.budget import FULL, QUICK, Budget
from benchmarks.reporting.figure import Figure
from benchmarks.reporting.quiet import combined, runs_option, until_quiet
from benchmarks.reporting.report import Report, print_report, to_json, write_into
from benchmarks.serving import h2load
from benchmarks.suites.c_callers import c_callers
from benchmarks.suites.call import one_call
from benchmarks.suites.concurrency import many_callers
from benchmarks.suites.http import by_http
from benchmarks.suites.in_process import many_rows, one_row
from benchmarks.suites.parity import parity
from benchmarks.suites.start import start
from benchmarks.suites.stock_parts import stock_parts
from benchmarks.suites.stream import stream

BENCHMARKS: Final[dict[str, Callable[[Prepared, Budget], tuple[Figure, ...]]]] = {
    "one-row": one_row,
    "many-rows": many_rows,
    "stock-parts": stock_parts,
    "call": lambda prepared, budget: one_call(prepared.single, budget),
    "http": lambda prepared, budget: by_http(prepared.single, budget),
    "stream": lambda prepared, budget: stream(prepared.single, budget),
    "many-callers": lambda prepared, budget: many_callers(prepared.single, budget),
    "c-callers": lambda prepared, budget: c_callers(prepared.single, budget),
    "start": lambda prepared, budget: start(prepared.single, budget),
    "parity": parity,
}
# Without a terminal to fit into.
_WIDTH: Final = 220


@click.command()
@click.option("--run", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
              metavar="FOLDER", help="Take this trained run in place of training one.")  # fmt: skip
@click.option("--only", type=click.Choice(list(BENCHMARKS)), multiple=True, help="Measure this alone; can be repeated.")
@click.option("--quick", is_flag=True, help="Few repetitions: rough figures within a minute.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the figures as JSON as well.")  # fmt: skip
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Replace the table between the marks in this Markdown file.")  # fmt: skip
@runs_option
def main(
    *, run: Path | None, only: tuple[str, ...], quick: bool, json_file: Path | None, document: Path | None,
    runs: int | None,
) -> None:  # fmt: skip
    """Measure the exported stack against its baselines.

    Trains the notebook's stack on the 3-second GTZAN table the first time, or on a synthetic table of that size where
    it is not there, and keeps it. Leave the machine alone meanwhile.

    \b
    Examples:
      python -m benchmarks
      python -m benchmarks --only one-row --only stock-parts
      python -m benchmarks --write docs/benchmarks.md
    """  # noqa: D301 - click's mark for "do not wrap"
    if document is not None and only:
        raise click.UsageError("--write replaces the whole table: leave out --only")
    prepared = prepare(run)
    budget, names = QUICK if quick else FULL, only or (*BENCHMARKS,)
    machine, figures = combined(until_quiet(lambda: _measure(prepared, budget, names), runs, document))
    left_out = [h2load.PACKAGE] if "c-callers" in names and not h2load.installed() else []
    report = Report(prepared.table, machine, quick, figures, left_out)
    print_report(report, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if json_file is not None:
        json_file.write_text(to_json(report), encoding="utf-8")
    if document is not None:
        try:
            write_into(document, report)
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def _measure(prepared: Prepared, budget: Budget, names: tuple[str, ...]) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        click.echo(f"measuring {name} …", err=True)
        figures += BENCHMARKS[name](prepared, budget)
    return figures


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
