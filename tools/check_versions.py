"""Install the oldest and the newest versions that pyproject.toml allows, and test both: `make test-versions`.

    python tools/check_versions.py                          # every Python at hand
    python tools/check_versions.py lowest-3.11 newest-3.13  # these sets alone
    python tools/check_versions.py --list

Every set is resolved, whether its Python is at hand or not. Those to be tested are installed as wheels, without a
compiler, one after the other, each into an environment of its own under build/versions: up to 4 GB, removed at the end.

Exit status 1 if a set cannot be resolved or installed, a lower bound cannot be reached, or the demo or a test fails.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.versions.cases import ROOT, TRAINING, Case, all_cases, chosen
from tools.versions.environments import Pins, StepError, Workshop
from tools.versions.trials import Step, Trial

MAIN: Final = (
    "numpy", "protobuf", "grpcio", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "tensorflow", "keras", "tf2onnx",
    "pandas", "librosa", "ray",
)  # fmt: skip
"""Packages whose versions the table shows."""
_LINE: Final = 100


@dataclass
class Row:
    """What the table says of one case."""

    case: Case
    pins: Pins = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every step came out as it has to."""
        return all(step.good for step in self.steps)


class Progress:
    """Says on the terminal what is under way; in a log file, only what begins and ends."""

    def __init__(self, console: Console) -> None:
        """Write to a console."""
        self._console = console
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        self._console.print(f"{minutes:3d}:{seconds:02d}  {escape(text)}", highlight=False, soft_wrap=True)

    def follow(self, row: Row, workshop: Workshop, interpreter: Path) -> Iterator[Step]:
        """Install a case and try it, showing the last line that was printed; yield what came of each step."""
        with self._console.status(escape(row.case.name)) as status:

            def show(line: str) -> None:
                status.update(escape(f"{row.case.name}: {line.strip()[-_LINE:]}"))

            programs = workshop.install(row.case, interpreter, show)
            yield Step("installed", f"{len(row.pins)} packages", good=True)
            yield from Trial(workshop, row.case, programs, show).steps()


def main() -> int:
    """Resolve everything, install and test what was asked for, and print the table."""
    options = _options()
    if options.list:
        print("\n".join(f"{case.name}{'' if case.by_default else '  (resolved only)'}" for case in all_cases()))
        return 0
    try:
        tested = chosen(options.sets)
    except KeyError as error:
        sys.exit(f"there is no set {error}; --list names them")
    workshop = Workshop(options.folder.resolve())
    workshop.folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    progress = Progress(console)
    named = bool(options.sets)
    rows = [
        _tried(case, workshop, progress, tested=case in tested, named=named)
        for case in (tested if named else all_cases())
    ]
    console.print(_table(rows))
    if not options.keep_cache:
        shutil.rmtree(workshop.folder / "cache", ignore_errors=True)
    failed = [row.case.name for row in rows if not row.good]
    print(f"failed: {', '.join(failed)}" if failed else f"{len(rows)} sets of versions hold")
    return 1 if failed else 0


def _tried(case: Case, workshop: Workshop, progress: Progress, *, tested: bool, named: bool) -> Row:
    """Resolve a case, and install and test it where that was asked for and its Python is at hand."""
    row = Row(case)
    workshop.log(case).unlink(missing_ok=True)
    try:
        for step in _steps(row, workshop, progress, tested=tested, named=named):
            row.steps.append(step)
            progress.say(f"{case.name}: {step.what}: {step.found}")
    except StepError as error:
        row.steps.append(Step("failed", str(error), good=False))
        progress.say(f"{case.name}: failed: {error}")
    finally:
        shutil.rmtree(workshop.folder / case.name, ignore_errors=True)
    return row


def _steps(row: Row, workshop: Workshop, progress: Progress, *, tested: bool, named: bool) -> Iterator[Step]:
    row.pins = workshop.resolve(row.case)
    yield Step("resolved", f"{len(row.pins)} packages", good=True)
    yield from _faults(row.case, row.pins)
    if not tested:
        return
    interpreter = workshop.find_python(row.case.python)
    if interpreter is None:
        yield Step("not tested", f"Python {row.case.python} is not at hand", good=not named)
    else:
        yield from progress.follow(row, workshop, interpreter)


def _faults(case: Case, pins: Pins) -> Iterator[Step]:
    """Yield what is wrong with the versions themselves."""
    if case.python not in TRAINING and "tensorflow" in pins:
        yield Step("tensorflow", f"{pins['tensorflow']} is not a stable release for Python {case.python}", good=False)


def _table(rows: Sequence[Row]) -> Table:
    table = Table("set", "versions", "outcome", title="Sets of versions", show_lines=True)
    for row in rows:
        versions = ", ".join(f"{name} {row.pins[name]}" for name in MAIN if name in row.pins)
        outcome = "\n".join(f"{step.what}: {step.found}" for step in row.steps)
        table.add_row(row.case.name, versions, escape(outcome), style="" if row.good else "bold red")
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help="as in lowest-3.11; default: all of --list")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "versions", help="where environments are made")
    parser.add_argument("--keep-cache", action="store_true", help="keep what was downloaded for another run")
    parser.add_argument("--list", action="store_true", help="name the sets and stop")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
