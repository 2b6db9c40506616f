"""Show a training in a terminal: a bar that follows the work, or a line now and then where there is no terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from genrestack_training.fitting.progress import META, Progress, Step

LINE_EVERY = 15.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def terminal_progress(console: Console | None = None) -> Iterator[Progress]:
    """Yield a `Progress` that a person can watch for the length of the block.

    Args:
        console: where to show it; stderr by default, so that stdout stays free for results.

    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield LineProgress(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        _TimeLeft(),
    )
    with Bar(*columns, console=console, refresh_per_second=5) as bar:
        yield _BarProgress(bar)


def describe_step(step: Step) -> str:
    """Describe in a few words where a fit stands, such as `mlp, fold 2 of 5, epoch 30 of 100`."""
    if step.fraction >= 1.0:
        return "fitted"
    return f"{step.stage}: {_part(step)}" if step.stage else _part(step)


def _part(step: Step) -> str:
    if step.part == META:
        return "meta-learner"
    where = f"fold {step.fold} of {step.folds}" if step.fold else "all training rows"
    return f"{step.part}, {where}" + (f", epoch {step.epoch} of {step.epochs}" if step.epochs else "")


def time_left(seconds: float | None) -> str:
    """Return how long the rest takes: `about 2:05 left`, or nothing where that is not known or no time at all."""
    if seconds is None or seconds < 1:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"about {minutes}:{rest:02d} left"


class LineProgress:
    """A `Progress` that prints a line when the part changes, and otherwise every `LINE_EVERY` seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: tuple[str, str, bool] | None = None
        self._printed = 0.0

    def update(self, step: Step) -> None:
        """Print where the fit stands if it is time for it."""
        now, stage = time.monotonic(), (step.stage, step.part, step.fold > 0)
        if stage == self._stage and step.fraction < 1.0 and now - self._printed < LINE_EVERY:
            return
        self._stage, self._printed = stage, now
        left = time_left(step.remaining) if step.fraction < 1.0 else f"in {step.elapsed:.0f} s"
        # Rounded down: 100% is said when it is so.
        self._print(f"{int(100 * step.fraction):3d}%  {describe_step(step)}" + (f"  ({left})" if left else ""))

    def note(self, line: str) -> None:
        """Print the line."""
        self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _BarProgress:
    """A `Progress` that moves a bar."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=1.0, left=None, at=0.0)

    def update(self, step: Step) -> None:
        self._bar.update(
            self._task,
            completed=step.fraction,
            description=escape(describe_step(step)),
            left=step.remaining,
            at=time.monotonic(),
        )

    def note(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False)


class _TimeLeft(ProgressColumn):
    """The last estimate less the time since, so that it counts down during a long fit."""

    def render(self, task: Task) -> Text:
        left = task.fields["left"]
        if left is None or task.finished:
            return Text("")
        return Text(time_left(max(left - (time.monotonic() - task.fields["at"]), 0.0)), style="progress.remaining")
