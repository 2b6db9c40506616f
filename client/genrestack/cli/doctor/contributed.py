"""What the other packages look at: each contributes a function, as they contribute subcommands."""

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from genrestack.cli.doctor.finding import Finding, Row, note, problem

GROUP: Final = "genrestack.doctor"
"""Entry points of functions that take the model repository (or None) and give rows; see `finding.Row`."""


def look_at_others(models_dir: Path | None, entries: Iterable[EntryPoint] | None = None) -> Iterator[Finding]:
    """Run every package's own checks; one that fails to load does not keep the others from running."""
    for entry in sorted(entry_points(group=GROUP) if entries is None else entries):
        yield from _asked(entry, models_dir)


def _asked(entry: EntryPoint, models_dir: Path | None) -> Iterator[Finding]:
    try:
        look: Callable[[Path | None], Iterable[Row]] = entry.load()
        for row in look(models_dir):
            yield Finding.of(row)
    except ModuleNotFoundError as error:
        yield note(entry.name, f"not looked at: the library {error.name} is not installed")
    except Exception as error:  # noqa: BLE001 - an installation in pieces is what this command is there for
        yield problem(
            entry.name,
            f"could not be looked at ({type(error).__name__})",
            "its installation may be broken; install its extra again in a new environment",
        )
