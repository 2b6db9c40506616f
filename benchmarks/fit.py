"""Training against the notebook's own code, in turns: `python -m benchmarks.fit`."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Final

import click
import numpy as np
from rich.console import Console

from benchmarks.contestants.contest import ROOT, environment, threads
from benchmarks.contestants.prepared import REAL_TABLE
from benchmarks.reporting.figure import Baseline, Figure, bounded, reached
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between
from benchmarks.reporting.quiet import MEDIAN_RUN, combined, runs_option, until_quiet
from benchmarks.reporting.report import figure_table, markdown_table
from benchmarks.training.floor import floor_seconds, steps

BEGIN: Final = "<!-- fit: begin; written by `python -m benchmarks.fit --write` -->"
END: Final = "<!-- fit: end -->"
WHO: Final = ("notebook", "genrestack")
_EPOCHS: Final = 100
_FOLDS: Final = 5
_BATCH: Final = 64
_HIDDEN: Final = (300,) * 5
_PARTS: Final = ("rows", "knn", "svc", "support", "weights")

Row = Mapping[str, Any]


@click.command()
@click.option("--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=REAL_TABLE,
              help="The 3-second GTZAN table; by default where the tests find it.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each.")
@click.option("--epochs", type=click.IntRange(min=1), default=_EPOCHS, show_default=True, help="Fewer: to try.")
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Replace the table between the marks in this Markdown file.")  # fmt: skip
@runs_option
def main(table: Path, seeds: int, epochs: int, document: Path | None, runs: int | None) -> None:
    """Train the notebook's stack with the notebook's own code and with ours, in turns, on the same splits.

    Each training has a process of its own. Leave the machine alone meanwhile: at three seeds about 15 minutes on
    two cores.

    \b
    Examples:
      python -m benchmarks.fit --seeds 1 --epochs 5
      python -m benchmarks.fit --write docs/benchmarks.md
    """  # noqa: D301 - click's mark for "do not wrap"

    def measure() -> tuple[list[Figure], Row]:
        with tempfile.TemporaryDirectory() as folder:
            taken = [{who: _trained(who, table, 42 + i, epochs, Path(folder)) for who in WHO} for i in range(seeds)]
        first = taken[0]["genrestack"]
        return compare(taken, _floor(table, first, epochs, threads())), first

    found = until_quiet(measure, runs, document)
    machine, figures = combined([(machine, figures) for machine, (figures, _) in found])
    _, (_, first) = found[0]
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(figure_table(figures))
    lines = about(machine, first, epochs, seeds)
    for line in lines:
        console.print(line, highlight=False)
    if document is not None:
        text = markdown_table(figures) + "\n" + "".join(f"- {line}\n" for line in lines)
        try:
            write_between(document, BEGIN, END, text)
        except ValueError as error:
            raise click.ClickException(str(error)) from error


def compare(taken: Sequence[Mapping[str, Row]], floor: tuple[float, float]) -> list[Figure]:
    """Turn trainings, one of each contestant a seed, into figures.

    Args:
        taken: a seed's trainings by contestant, as `_trained` gives them.
        floor: seconds of the network's products and of the SVC's fits, on all cores.

    """
    means = {
        who: {name: mean(row[who][name] for row in taken) for name in ("fit_seconds", "whole_seconds", "accuracy")}
        for who in WHO
    }
    theirs, ours = means["notebook"], means["genrestack"]
    ratios = ", ".join(f"{row['notebook']['fit_seconds'] / row['genrestack']['fit_seconds']:.2f}" for row in taken)
    least = sum(floor)
    away = abs(ours["accuracy"] - theirs["accuracy"])
    return [
        _quicker("fit", "fit_seconds", theirs, ours, least=3.5, note=f"by seed: {ratios}"),
        _quicker("whole process", "whole_seconds", theirs, ours, note="libraries loaded, table read, fitted and asked"),
        Figure("fit, as a multiple of its floor", ours["fit_seconds"] / least, "", None, None, "", None,
               f"{least:.0f} s on all cores: {floor[0]:.0f} s products of the network, {floor[1]:.0f} s libsvm"),
        bounded("accuracy, difference of the means", 100 * away, "points", most=0.5,
                note=f"{ours['accuracy']:.4f} against {theirs['accuracy']:.4f}"),
        reached("seeds with the same split, KNN and SVC", float(sum(same(row) for row in taken)), "",
                least=len(taken), note="KNN's probabilities, SVC's decisions and support vectors, to the last bit"),
        bounded("peak memory", max(row["genrestack"]["peak_mb"] for row in taken), "MB", most=3000,
                note=f"the notebook's code {max(row['notebook']['peak_mb'] for row in taken):,.0f} MB"),
    ]  # fmt: skip


def same(row: Mapping[str, Row]) -> bool:
    """Whether both contestants asked the same rows, and their KNN and SVC answered them alike to the last bit."""
    theirs, ours = (row[who]["arrays"] for who in WHO)
    return all(np.array_equal(theirs[part], ours[part]) for part in _PARTS)


def about(machine: Machine, first: Row, epochs: int, seeds: int) -> list[str]:
    """Return what was measured, where and when."""
    tried = [f"**Tried with {epochs} epochs: measure again with {_EPOCHS}.**"] if epochs != _EPOCHS else []
    names = ("keras", "numpy", "scikit-learn", "tensorflow")
    return [
        *tried,
        *(f"**{line}**" for line in machine.remarks(MEDIAN_RUN)),
        f"{first['rows']:,} rows fitted, {epochs} epochs, {seeds} seeds, in turns, both on the same split.",
        f"Machine: {machine.cpu}, {machine.threads} CPUs; load {machine.load:.2f} at the start.",
        f"Software: Python {machine.python}, {', '.join(f'{name} {machine.versions[name]}' for name in names)}.",
        f"Date: {machine.date}.",
    ]


def _quicker(what: str, key: str, theirs: Row, ours: Row, *, least: float | None = None, note: str = "") -> Figure:
    ratio = theirs[key] / ours[key]
    target = "" if least is None else f"≥ {least:g}× quicker"
    met = None if least is None else ratio >= least
    return Figure(what, ours[key], "s", Baseline("the notebook's own code", theirs[key]), ratio, target, met, note)


def _trained(who: str, table: Path, seed: int, epochs: int, folder: Path) -> Row:
    click.echo(f"training: {who}, seed {seed} …", err=True)
    arrays = folder / f"{who}-{seed}.npz"
    request = {"who": who, "table": str(table), "seed": seed, "epochs": epochs, "arrays": str(arrays)}
    begun = time.monotonic()
    told = _asked("benchmarks.training.fitted", request)
    with np.load(arrays) as saved:
        parts = {part: saved[part] for part in _PARTS}
    whole = time.monotonic() - begun
    return {**told, "whole_seconds": whole, "arrays": parts}


def _floor(table: Path, row: Row, epochs: int, cores: int) -> tuple[float, float]:
    click.echo("measuring the floor …", err=True)
    features, classes = row["arrays"]["rows"].shape[1], row["arrays"]["knn"].shape[1]
    count = steps(row["rows"], _FOLDS, epochs, _BATCH)
    network = floor_seconds((features, *_HIDDEN, classes), _BATCH, count, cores)
    svc = _asked("benchmarks.growth.measurement", {"part": "svc", "table": str(table), "times": 1, "only_rows": None})
    # libsvm's time grows with the square of the rows.
    fits = 1 + _FOLDS * (1 - 1 / _FOLDS) ** 2
    return network, svc["fit_seconds"] * fits / cores


def _asked(module: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a measurement in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", module, json.dumps(request)]
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.fit")
