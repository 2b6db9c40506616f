"""Tables are renewed on a quiet machine: measured up to three times, else published with their spread."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low
from time import monotonic, sleep
from typing import Final, TypeVar

import click

from benchmarks.reporting.figure import Figure
from benchmarks.reporting.machine import Machine, this_machine

RUNS: Final = 3
"""At most this many where a table is written."""
MEDIAN_RUN: Final = "each figure is that of its median run, and the note says how far the runs lay apart"
_PR_SET_CHILD_SUBREAPER: Final = 36
_PATIENCE_S, _POLL_S = 1.0, 0.01
_STAT: Final = Path("/proc/stat")

Measured = TypeVar("Measured")

runs_option = click.option(
    "--runs",
    type=click.IntRange(min=1),
    help=f"Measure at most this many times, until the machine was quiet.  [default: {RUNS} with --write, else 1]",
)


@dataclass(frozen=True)
class _Use:
    """Processor time so far, in seconds."""

    at: float
    machine: float
    own: float
    """Of this process and of all that it has started and waited for."""


def until_quiet(
    measure: Callable[[], Measured], runs: int | None, document: Path | None
) -> list[tuple[Machine, Measured]]:
    """Measure until the machine was quiet meanwhile; return that run alone, or all where none was.

    Args:
        measure: one run.
        runs: at most this many; None is three where a document is written, else one.
        document: the page that is written.

    """
    most = runs or (RUNS if document is not None else 1)
    found: list[tuple[Machine, Measured]] = []
    while len(found) < most:
        machine, before = this_machine(), _use()
        with _orphans_adopted():
            value = measure()
        machine = replace(machine, others=others(before, _use(), machine.threads))
        if not machine.busy:
            return [(machine, value)]
        found.append((machine, value))
        if len(found) < most:
            click.echo(f"the machine was busy ({machine.why_busy()}): measuring again", err=True)
    return found


def quietest(found: Sequence[tuple[Machine, Measured]]) -> tuple[Machine, Measured]:
    """Return the run in which others took least; its machine knows of all runs."""
    machine, value = min(found, key=lambda run: max(run[0].others, default=run[0].load))
    return replace(machine, others=tuple(share for each, _ in found for share in each.others)), value


def combined(found: Sequence[tuple[Machine, Sequence[Figure]]]) -> tuple[Machine, list[Figure]]:
    """Return each figure of its median run, with the spread over all runs in its note; one run as it is."""
    machine, figures = quietest(found)
    if len(found) == 1:
        return machine, list(figures)
    return machine, [_median_of(each) for each in zip(*(figures for _, figures in found), strict=True)]


def _median_of(figures: Sequence[Figure]) -> Figure:
    values = [figure.value if figure.ratio is None else figure.ratio for figure in figures]
    chosen = figures[values.index(median_low(values))]
    unit = f" {chosen.unit}".rstrip() if chosen.ratio is None else "×"
    spread = f"{len(values)} runs between {min(values):.3g} and {max(values):.3g}{unit}"
    return replace(chosen, note="; ".join(filter(None, (chosen.note, spread))))


@contextmanager
def _orphans_adopted() -> Iterator[None]:
    """Be the parent of processes whose own parent ends before them, so that their time counts as this one's."""
    if sys.platform != "linux":
        yield
        return
    control = ctypes.CDLL(None).prctl
    control(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
        _wait_for_children()
    finally:
        control(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _wait_for_children() -> None:
    """Wait for children that end; some may be there for good."""
    end = monotonic() + _PATIENCE_S
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] or monotonic() < end:
            sleep(_POLL_S)


def _use() -> _Use | None:
    """Read the processor time that the machine and this process have used; None where the system does not tell."""
    if not _STAT.is_file():
        return None
    counts = [int(count) for count in _STAT.read_text(encoding="ascii").partition("\n")[0].split()[1:]]
    # Interrupts are left out: those of our own calls over loopback are nobody's.
    user, nice, system, _, _, _, _, stolen = counts[:8]
    mine = os.times()
    own = mine.user + mine.system + mine.children_user + mine.children_system
    return _Use(monotonic(), (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK"), own)


def others(before: _Use | None, after: _Use | None, processors: int) -> tuple[float, ...]:
    """Return the share of the processors that others took in between; empty where it is not known."""
    if before is None or after is None or after.at <= before.at:
        return ()
    taken = (after.machine - before.machine) - (after.own - before.own)
    return (min(1.0, max(0.0, taken / (processors * (after.at - before.at)))),)
