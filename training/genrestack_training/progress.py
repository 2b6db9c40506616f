"""Watch a stack being fitted: which part, which fold, which epoch, how much is done, how long it will take.

scikit-learn 1.9 has callbacks of its own, but neither `StackingClassifier` nor its usual base estimators take them
yet. What every version has is the cloning protocol: a stack fits nothing but clones of its estimators. `watched`
gives the estimators a `__sklearn_clone__` whose clones announce their one fit and then forget about it, so the
fitted stack holds plain estimators and pickles as if nobody had watched.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sklearn.base import clone
from sklearn.ensemble import StackingClassifier

from genrestack_training.estimate import Estimate

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


class Progress(Protocol):
    """What follows a training."""

    def update(self, step: Step) -> None:
        """Take the news that the fit has come to `step`."""

    def note(self, line: str) -> None:
        """Take a plain line that the person should read."""


class Silent:
    """A `Progress` that says nothing."""

    def update(self, step: Step) -> None:
        """Say nothing."""

    def note(self, line: str) -> None:
        """Say nothing."""


@contextmanager
def watched(stack: StackingClassifier, progress: Progress, *, rows: int) -> Iterator[None]:
    """Report to `progress` on the fits that `stack` makes within the block; the stack must run one fit at a time.

    Args:
        stack: an unfitted stack whose `cv` is a number of folds or a list of them.
        progress: told at the start of every fit, at the end of every epoch, and when all is fitted.
        rows: training rows; the first estimate of the work rests on them.

    """
    parts = [*stack.estimators, (META, stack.final_estimator)]
    watch = _Watch(stack, progress, rows)
    for name, estimator in parts:
        _announce_clones(estimator, name, watch)
    try:
        yield
        watch.finished()
    finally:
        for _, estimator in parts:
            vars(estimator).pop("__sklearn_clone__", None)


class _Watch:
    """Counts fits and epochs, and turns them into steps."""

    def __init__(self, stack: StackingClassifier, progress: Progress, rows: int) -> None:
        self._progress = progress
        self._folds: int = stack.cv if isinstance(stack.cv, int) else len(stack.cv)
        self._fold: dict[str, int] = {}
        self._start = time.monotonic()
        self._estimate = Estimate([*stack.estimators, (META, stack.final_estimator)], folds=self._folds, rows=rows)
        self._last = ("", 0)

    def fit_begins(self, part: str) -> int:
        """Report that a part is being fitted, and give its fold."""
        fold = self._fold[part] = self._fold.get(part, -1) + 1
        self._estimate.begin(part, fold)
        self._report(part, fold, None, None)
        return fold

    def epoch_ends(self, part: str, fold: int, epoch: int, epochs: int) -> None:
        """Report an epoch."""
        self._estimate.epoch(epoch, epochs)
        self._report(part, fold, epoch, epochs)

    def finished(self) -> None:
        """Report that everything is fitted."""
        self._estimate.finish()
        part, fold = self._last
        self._report(part, fold, None, None)

    def _report(self, part: str, fold: int, epoch: int | None, epochs: int | None) -> None:
        self._last = (part, fold)
        fraction, remaining = self._estimate.state()
        elapsed = time.monotonic() - self._start
        self._progress.update(Step(part, fold, self._folds, epoch, epochs, fraction, elapsed, remaining))


def _announce_clones(estimator: Any, part: str, watch: _Watch) -> None:
    """Make every clone of an estimator, and every clone of a clone, announce its one fit."""

    def cloned() -> Any:
        fit = vars(estimator).pop("fit", None)
        del estimator.__sklearn_clone__
        try:
            copy = clone(estimator)
        finally:
            estimator.__sklearn_clone__ = cloned
            if fit is not None:
                estimator.fit = fit
        _announce_clones(copy, part, watch)
        copy.fit = _announced_fit(copy, part, watch)
        return copy

    estimator.__sklearn_clone__ = cloned


def _announced_fit(estimator: Any, part: str, watch: _Watch) -> Callable[..., Any]:
    """Make the `fit` that stands in the estimator's way once."""

    def fit(*args: Any, **kwargs: Any) -> Any:
        del estimator.fit, estimator.__sklearn_clone__
        fold = watch.fit_begins(part)
        with _epochs_heard(estimator, lambda epoch, epochs: watch.epoch_ends(part, fold, epoch, epochs)):
            return estimator.fit(*args, **kwargs)

    return fit


@contextmanager
def _epochs_heard(estimator: Any, listener: Callable[[int, int], None]) -> Iterator[None]:
    """Listen to the epochs of an estimator of ours that has any."""
    # Its name begins with an underscore because scikeras takes every other attribute for a parameter.
    heard = hasattr(estimator, "_epoch_listener")
    if heard:
        vars(estimator)["_epoch_listener"] = listener
    try:
        yield
    finally:
        if heard:
            del vars(estimator)["_epoch_listener"]
