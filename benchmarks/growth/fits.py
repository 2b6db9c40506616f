"""How a fit grows with its table: `python -m benchmarks.growth fits`."""

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.contestants.contest import ROOT, environment
from benchmarks.contestants.prepared import CACHE, REAL_TABLE
from benchmarks.contestants.steps import make_table
from benchmarks.reporting.machine import Machine, this_machine
from benchmarks.reporting.page_section import write_between

PARTS: Final = ("knn", "svc", "mlp", "stack")
BEGIN: Final = "<!-- growth: begin; written by `python -m benchmarks.growth fits --write` -->"
END: Final = "<!-- growth: end -->"
PAPER_ROWS: Final = 10_000_000
_LIBRARIES: Final = ("keras", "numpy", "scikit-learn", "tensorflow")
# Shorter times are start-up more than work.
_WORTH_SECONDS: Final = 0.05

Row = Mapping[str, Any]


@click.command()
@click.option("--times", type=click.IntRange(min=1), multiple=True, default=(1, 3), show_default=True,
              help="Multiple of the table's rows; can be repeated.")  # fmt: skip
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="This part alone; can be repeated.")
@click.option("--without", multiple=True, metavar="PART@TIMES",
              help="Not this one, such as svc@10; the table says so. Can be repeated.")  # fmt: skip
@click.option("--rows", "only_rows", type=click.IntRange(min=200), help="Begin with N rows of the table, for trying.")
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Replace the tables between the marks in this Markdown file.")  # fmt: skip
def fits(
    times: tuple[int, ...],
    parts: tuple[str, ...],
    without: tuple[str, ...],
    only_rows: int | None,
    document: Path | None,
) -> None:
    """Fit the notebook's stack and each of its parts on tables of growing size.

    Larger tables are the 3-second GTZAN table with jittered copies of its training rows, or a synthetic table where it
    is not there. Each fit has a process of its own, and what is measured is kept: the same command goes on after an
    interruption. Leave the machine alone meanwhile; at 10 times the network
    alone takes five minutes.

    \b
    Examples:
      python -m benchmarks.growth fits --rows 1000 --times 1 --times 2
      python -m benchmarks.growth fits --times 1 --times 3 --times 10 --write docs/training.md
      python -m benchmarks.growth fits --times 1 --times 3 --times 10 --without svc@10 --without stack@10
    """  # noqa: D301 - click's mark for "do not wrap"
    machine = this_machine()
    table = _table()
    measured = [
        _measured(part, table, each, only_rows, machine.load)
        for each in sorted(set(times))
        for part in PARTS
        if part in (parts or PARTS) and f"{part}@{each}" not in without
    ]
    lines = render(measured, machine, made=table != REAL_TABLE, tried=only_rows is not None)
    left_out = [f"Not measured: {', '.join(each.replace('@', ' at ') + '×' for each in without)}."] if without else []
    text = "\n".join([*lines, *left_out])
    click.echo(text)
    if document is not None:
        try:
            write_between(document, BEGIN, END, text)
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def render(measured: Sequence[Row], machine: Machine, *, made: bool, tried: bool) -> list[str]:
    """Write what was measured, and what follows from it for `PAPER_ROWS` rows, as Markdown.

    Args:
        measured: rows as `grown.measure` gives them, by size.
        machine: where.
        made: the table is a made one.
        tried: only some of its rows were taken.

    """
    load = max(row["load"] for row in measured)
    lines = [f"**{said}**\n" for said in _remarks(replace(machine, load=load), made=made, tried=tried)]
    lines += ["| fitted rows | | fit | predict | peak memory | accuracy |", "|---|---|---|---|---|---|"]
    lines += [_line(row) for row in measured]
    lines += ["", f"From the two largest sizes, t ∝ nᵇ, and so at {PAPER_ROWS:,} rows:", ""]
    lines += ["| | b of the fit | fit | b of predicting | predict, a row |", "|---|---|---|---|---|"]
    lines += [_paper(part, rows) for part, rows in _by_part(measured).items() if len(rows) > 1]
    versions = ", ".join(f"{name} {machine.versions[name]}" for name in _LIBRARIES)
    lines += [
        "",
        f"{machine.cpu}, {machine.threads} CPUs, load {load:.1f} at the start; {versions}; {machine.date}.",
    ]
    return lines


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return b of t ∝ nᵇ through the last two measurements."""
    (small, large), (short, long) = sizes[-2:], seconds[-2:]
    return math.log(long / short) / math.log(large / small)


def _measured(part: str, table: Path, times: int, only_rows: int | None, load: float) -> Row:
    """Measure, or return the measurement that is kept; `load` is the machine's before the first one."""
    request = {"part": part, "table": str(table), "times": times, "only_rows": only_rows}
    kept = CACHE / "growth" / f"{_key(request, table)}.json"
    if not kept.exists():
        click.echo(f"measuring {part} at {times}× …", err=True)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.growth.measurement", json.dumps(request)]
        done = subprocess.run(command, check=True, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(".writing")
        aside.write_text(json.dumps({**json.loads(done.stdout.splitlines()[-1]), "load": load}), encoding="utf-8")
        aside.replace(kept)
    row: Row = json.loads(kept.read_text(encoding="utf-8"))
    return row


def _key(request: Mapping[str, Any], table: Path) -> str:
    from importlib.metadata import version

    parts = [json.dumps(request, sort_keys=True), hashlib.sha256(table.read_bytes()).hexdigest()]
    parts += [version(name) for name in _LIBRARIES]
    parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(ROOT.glob("training/**/mlp.py"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _table() -> Path:
    if REAL_TABLE.is_file():
        return REAL_TABLE
    made = CACHE / "made.csv"
    made.parent.mkdir(parents=True, exist_ok=True)
    return made if made.exists() else make_table(made)


def _remarks(machine: Machine, *, made: bool, tried: bool) -> Iterable[str]:
    yield from machine.remarks()
    if made:
        yield "A synthetic table, because the GTZAN one is not there."
    if tried:
        yield "Tried with some of the table's rows: measure again with all of them."


def _line(row: Row) -> str:
    predict = f"{row['predict_seconds']:.2f} s for {row['predict_rows']:,} rows"
    memory = f"{row['peak_mb']:,.0f} MB"
    fit = f"{row['fit_seconds']:,.1f} s"
    return f"| {row['rows']:,} | {row['part']} | {fit} | {predict} | {memory} | {row['accuracy']:.3f} |"


def _by_part(measured: Iterable[Row]) -> dict[str, list[Row]]:
    by_part: dict[str, list[Row]] = {}
    for row in measured:
        by_part.setdefault(row["part"], []).append(row)
    return by_part


def _paper(part: str, rows: Sequence[Row]) -> str:
    last, sizes = rows[-1], [row["rows"] for row in rows]
    cells = []
    for seconds, per in (("fit_seconds", 1), ("predict_seconds", last["predict_rows"])):
        taken = [row[seconds] for row in rows]
        if min(taken[-2:]) < _WORTH_SECONDS:
            cells += ["", "too short to tell"]
            continue
        b = exponent(sizes, taken)
        cells += [f"{b:.2f}", duration(last[seconds] / per * (PAPER_ROWS / last["rows"]) ** b)]
    return f"| {part} | {' | '.join(cells)} |"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    for unit, size in (("years", 365 * 86400.0), ("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{1e3 * seconds:.3g} ms"
