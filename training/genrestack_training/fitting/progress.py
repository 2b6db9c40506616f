"""Where the fit of a stack stands: which part, which fold, which epoch, how much is done, how long it will take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING, Protocol

from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression

from genrestack_training.fitting.fit_time import FitKey, TimeEstimate, estimated_seconds

if TYPE_CHECKING:
    from genrestack_training.fitting.tasks import FitTask

META = "meta"
"""How the final estimator is named among the parts."""


@dataclass(frozen=True)
class Step:
    """Where the fit of a stack stands."""

    part: str
    """Name of the base estimator, or "meta"."""
    fold: int
    """0 while the part is fitted on all training rows, 1 … folds while it is fitted for the meta-learner's rows."""
    folds: int
    epoch: int | None
    """Epochs done in this fit; None for a part without epochs."""
    epochs: int | None
    fraction: float
    """Share of the whole work that is done, 0 to 1, never falling."""
    elapsed: float
    """Seconds since the start."""
    remaining: float | None
    """Estimated seconds to go; None while there is nothing to estimate from."""
    stage: str = ""
    """Which of several stacks is being fitted, such as "2 of 2, split by recording"; empty if there is one only."""


class Progress(Protocol):
    """What follows a training."""

    def update(self, step: Step) -> None:
        """Receive the step that the fit has reached."""

    def note(self, line: str) -> None:
        """Receive a plain line that the person should read."""


class NullProgress:
    """A `Progress` that does nothing."""

    def update(self, step: Step) -> None:
        """Do nothing."""

    def note(self, line: str) -> None:
        """Do nothing."""


class StagedProgress:
    """Forwards the steps of one stack out of several that take about as long."""

    def __init__(self, progress: Progress, stage: int, stages: int, title: str, *, begun: float) -> None:
        self._progress = progress
        self._stage, self._stages = stage, stages
        self._title = f"{stage} of {stages}, {title}" if stages > 1 else ""
        self._begun = begun

    def update(self, step: Step) -> None:
        """Forward a step as a share of the whole work, which began with the first stack."""
        fraction = (self._stage - 1 + step.fraction) / self._stages
        remaining = step.remaining
        if remaining is not None:
            remaining += (step.elapsed + remaining) * (self._stages - self._stage)
        elapsed = time.monotonic() - self._begun
        self._progress.update(replace(step, fraction=fraction, elapsed=elapsed, remaining=remaining, stage=self._title))

    def note(self, line: str) -> None:
        """Forward a line."""
        self._progress.note(line)


class FitTracker:
    """Tracks the fits of one stack, which may run in parallel, and reports them as steps.

    Of several fits under way a step speaks of the one that began first. Any thread may call.
    """

    def __init__(
        self, tasks: Sequence["FitTask"], stack: StackingClassifier, progress: Progress, *, rows: int, parallelism: int
    ) -> None:
        self._progress = progress
        self._folds = max((task.fold for task in tasks), default=0)
        self._start = time.monotonic()
        self._lock = RLock()
        self._under_way: dict[FitKey, tuple[int, int] | None] = {}
        guesses = {
            t.key: estimated_seconds(t.estimator, rows if t.training is None else len(t.training)) for t in tasks
        }
        final = LogisticRegression() if stack.final_estimator is None else stack.final_estimator
        self._estimate = TimeEstimate({**guesses, (META, 0): estimated_seconds(final, rows)}, parallelism=parallelism)

    def begin(self, fit: FitKey) -> None:
        """Record that a fit begins."""
        with self._lock:
            self._estimate.begin(fit)
            self._under_way[fit] = None
            self._report()

    def epoch(self, fit: FitKey, epoch: int, epochs: int) -> None:
        """Record how many epochs of a fit are done."""
        with self._lock:
            if fit in self._under_way:
                self._estimate.epoch(fit, epoch, epochs)
                self._under_way[fit] = (epoch, epochs)
                self._report()

    def end(self, fit: FitKey) -> None:
        """Record that a fit has ended; one too short to have been reported counts as begun now."""
        with self._lock:
            if fit not in self._under_way:
                self.begin(fit)
            self._estimate.end(fit)
            del self._under_way[fit]

    def skip(self, fit: FitKey) -> None:
        """Record that a fit need not be made."""
        with self._lock:
            self._estimate.skip(fit)

    def begin_meta(self) -> None:
        """Record that the meta-learner is being fitted."""
        self.begin((META, 0))

    def finish(self) -> None:
        """Record that everything is fitted."""
        with self._lock:
            self._estimate.end((META, 0))
            self._report()

    def _report(self) -> None:
        (part, fold), epochs = next(iter(self._under_way.items()))
        fraction, remaining = self._estimate.state()
        epoch, of = epochs or (None, None)
        elapsed = time.monotonic() - self._start
        self._progress.update(Step(part, fold, self._folds, epoch, of, fraction, elapsed, remaining))
