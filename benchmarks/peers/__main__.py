"""Measure all ways to serve the stack in one run: `python -m benchmarks.peers`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from benchmarks.contestants.contest import ROOT
from benchmarks.contestants.contest import environment as quiet
from benchmarks.contestants.prepared import CACHE, prepare
from benchmarks.peers.contestants.environments import environment
from benchmarks.peers.contestants.roster import REFERENCE, Files, contestants
from benchmarks.peers.measuring.budget import FULL, QUICK
from benchmarks.peers.measuring.contestant_run import PeerFailed
from benchmarks.peers.measuring.rounds import measure_all
from benchmarks.peers.report.page import BEGIN, END, Comparison, print_comparison, to_json, to_markdown
from benchmarks.peers.report.picture import draw
from benchmarks.reporting.page_section import write_between
from benchmarks.reporting.quiet import quietest, runs_option, until_quiet

KEYS: Final = tuple(each.key for each in contestants())
# Without a terminal to fit into.
_WIDTH: Final = 200
_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--run", type=_FOLDER, metavar="FOLDER", help="Take this trained run in place of training one.")
@click.option("--table", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
              metavar="FILE", help="Train on this table in place of the 3-second GTZAN one.")  # fmt: skip
@click.option("--only", type=click.Choice(KEYS), multiple=True,
              help=f"This one alone, and {REFERENCE}, with which all are compared; can be repeated.")  # fmt: skip
@click.option("--quick", is_flag=True, help="One short round: rough figures within two minutes.")
@click.option("--install-only", is_flag=True, help="Make the environments and what they serve, and measure nothing.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the figures as JSON as well.")
@click.option("--plot", type=_FILE, metavar="FILE", help="Draw the figures as SVG.")
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Replace the section between the marks in this Markdown file, and its picture.")  # fmt: skip
@runs_option
def main(
    *, run: Path | None, table: Path | None, only: tuple[str, ...], quick: bool, install_only: bool,
    json_file: Path | None, plot: Path | None, document: Path | None, runs: int | None,
) -> None:  # fmt: skip
    """Serve one fitted stack in several ways and measure them in turns.

    Makes an environment for each way the first time (about 6 GB in all), and trains the notebook's stack where no run
    is given; both are kept, so that the same command goes on where it was interrupted. Measuring itself
    starts from the beginning and takes about a quarter of an hour; leave the machine alone meanwhile.

    \b
    Examples:
      python -m benchmarks.peers
      python -m benchmarks.peers --run runs/gtzan --quick
      python -m benchmarks.peers --write docs/benchmarks.md --json peers.json
    """  # noqa: D301 - click's mark for "do not wrap"
    if document is not None and only:
        raise click.UsageError("--write replaces the whole section: leave out --only")
    if run is not None and table is not None:
        raise click.UsageError("--run is trained already: leave out --table")
    who = [each for each in contestants() if not only or each.key in {*only, REFERENCE}]
    for name in dict.fromkeys(("load", *(each.environment for each in who))):
        environment(name)
    prepared = prepare(run, table)
    files = Files(prepared, pickle_of(prepared.run))
    if install_only:
        return
    budget = QUICK if quick else FULL
    kept = {name: environment(name) for name in dict.fromkeys(("load", *(each.environment for each in who)))}
    try:
        found = until_quiet(lambda: measure_all(who, files, budget, kept.__getitem__), runs, document)
    except PeerFailed as error:
        raise click.ClickException(str(error)) from error
    machine, results = quietest(found)
    comparison = Comparison(prepared.table, machine, budget.rounds, quick, results)
    print_comparison(comparison, Console(width=None if sys.stdout.isatty() else _WIDTH))
    _keep(comparison, json_file, plot, document)


def pickle_of(run: Path) -> Path:
    """Pickle the stack of a run as others serve it, once."""
    parts = [
        (run / "stack.joblib").read_bytes(),
        (ROOT / "benchmarks" / "peers" / "contestants" / "pickled.py").read_bytes(),
    ]
    key = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]
    file = CACHE / "pickles" / f"{key}.joblib"
    if not file.exists():
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.contestants.pickled", str(run), str(file)]
        subprocess.run(command, check=True, cwd=ROOT, env=quiet())
    return file


def _keep(comparison: Comparison, json_file: Path | None, plot: Path | None, document: Path | None) -> None:
    if json_file is not None:
        json_file.write_text(to_json(comparison), encoding="utf-8")
    if document is not None:
        plot = plot or document.parent / "pictures" / "peers.svg"
        picture = Path(os.path.relpath(plot, document.parent)).as_posix()
        try:
            write_between(document, BEGIN, END, to_markdown(comparison, picture))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(draw(comparison.columns), encoding="utf-8")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.peers")
