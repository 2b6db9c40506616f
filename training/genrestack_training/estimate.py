"""How much of a stack's fit is done and how long the rest will take, learned from the fits made so far."""

import time
from collections.abc import Sequence
from typing import Any

Fit = tuple[str, int]
"""A part's name and its fold; fold 0 is the fit on all rows."""


class Estimate:
    """Expected seconds of every fit to come; each fit that has been timed corrects those of its part.

    A stack fits each part once on all rows, then each part once a fold, then the meta-learner. A fit lasts until the
    next one begins, so a fold's includes the predictions that follow it. What has not been timed is guessed from the
    number of rows and epochs.
    """

    def __init__(self, parts: Sequence[tuple[str, Any]], *, folds: int, rows: int) -> None:
        base, meta = [name for name, _ in parts[:-1]], parts[-1][0]
        self._plan: list[Fit] = (
            [(n, 0) for n in base] + [(n, f) for n in base for f in range(1, folds + 1)] + [(meta, 0)]
        )
        estimators = dict(parts)
        self._guess = {
            (name, fold): guessed_seconds(estimators[name], rows if fold == 0 else rows * (folds - 1) // folds)
            for name, fold in self._plan
        }
        self._expected = dict(self._guess)
        self._taken: dict[Fit, float] = {}
        self._untimed = set(base)
        self._now: Fit | None = None
        self._begun = 0.0
        self._first_epoch = 0.0
        self._paced = False
        self._fraction = 0.0

    def begin(self, part: str, fold: int) -> None:
        """Hear that a fit begins, and with it that the one before has ended."""
        self._end()
        self._now, self._begun, self._paced = (part, fold), time.monotonic(), False

    def epoch(self, done: int, epochs: int) -> None:
        """Hear how many of its epochs the fit under way has done, 1 … epochs."""
        spent = time.monotonic() - self._begun
        if done == 1:
            # Building the network is in this one: it says nothing of the epochs to come.
            self._first_epoch = spent
        elif self._now is not None:
            pace = (spent - self._first_epoch) / (done - 1)
            self._paced = True
            self._learn(self._now, spent + pace * (epochs - done))

    def finish(self) -> None:
        """Hear that the last fit has ended."""
        self._end()
        self._plan = []
        self._untimed = set()

    def state(self) -> tuple[float, float | None]:
        """Give the share done, 0 to 1 and never falling, and the seconds to go; None until each part has been timed."""
        done = sum(self._taken.values())
        to_go = sum(self._expected[fit] for fit in self._plan if fit not in self._taken and fit != self._now)
        if self._now is not None:
            spent = time.monotonic() - self._begun
            done += spent
            to_go += max(self._expected[self._now] - spent, 0.0)
        if done + to_go > 0:
            self._fraction = max(self._fraction, done / (done + to_go))
        return self._fraction, (None if self._untimed else to_go)

    def _end(self) -> None:
        if self._now is None:
            return
        self._taken[self._now] = time.monotonic() - self._begun
        self._learn(self._now, self._taken[self._now])
        self._now = None

    def _learn(self, fit: Fit, seconds: float) -> None:
        """Expect the part's later fits to be off from their guesses as this one was."""
        part, fold = fit
        self._untimed.discard(part)
        ratio = seconds / self._guess[fit]
        if fold == 0 and not self._paced:
            # Without the predictions that each fold will make, this one says only how slow the folds are at least.
            ratio = max(ratio, 1.0)
        for other in self._expected:
            if other[0] == part:
                self._expected[other] = self._guess[other] * ratio


def guessed_seconds(estimator: Any, rows: int) -> float:
    """Guess the seconds that an estimator takes to fit that many rows and to predict a quarter as many."""
    parameters = estimator.get_params(deep=False)
    if "epochs" in parameters:
        return 1.5 + 2e-3 * int(parameters["epochs"]) * rows / int(parameters["batch_size"])
    # Measured on two cores at 57 features and 10 classes.
    seconds_at_8000 = {"SVC": 9.0, "LogisticRegression": 1.0}.get(type(estimator).__name__, 0.3)
    return 1e-3 + seconds_at_8000 * (rows / 8000) ** 2
