"""How much of a stack's fit is done and how long the rest will take, learned from the fits made so far."""

import time
from collections.abc import Mapping
from typing import Any, Final

FitKey = tuple[str, int]
"""A part's name and its fold; fold 0 is the fit on all rows."""

# Parts that nobody has timed yet may make up this share of all the work before an estimate says nothing.
_UNKNOWN_SHARE: Final = 0.1


class TimeEstimate:
    """Expected seconds of every fit to come; each fit that has been timed corrects those of its part."""

    def __init__(self, guesses: Mapping[FitKey, float], *, parallelism: int = 1) -> None:
        """Start from guesses.

        Args:
            guesses: seconds of every fit there will be.
            parallelism: how many run at once.

        """
        self._guess = dict(guesses)
        self._expected = dict(guesses)
        self._parallelism = parallelism
        self._taken: dict[FitKey, float] = {}
        self._begun: dict[FitKey, float] = {}
        self._first_epoch: dict[FitKey, float] = {}
        self._timed: set[str] = set()
        self._fraction = 0.0

    def begin(self, fit: FitKey) -> None:
        """Record that a fit begins."""
        self._begun[fit] = time.monotonic()

    def epoch(self, fit: FitKey, done: int, epochs: int) -> None:
        """Record how many of its epochs a fit has done, 1 … epochs."""
        spent = time.monotonic() - self._begun[fit]
        if fit not in self._first_epoch:
            # Building the network is in the first one: it says nothing of the epochs to come.
            self._first_epoch[fit] = spent
        elif done > 1:
            pace = (spent - self._first_epoch[fit]) / (done - 1)
            self._learn(fit, spent + pace * (epochs - done))

    def end(self, fit: FitKey) -> None:
        """Record that a fit has ended."""
        self._taken[fit] = time.monotonic() - self._begun.pop(fit)
        self._learn(fit, self._taken[fit])

    def skip(self, fit: FitKey) -> None:
        """Record that a fit need not be made."""
        self._guess.pop(fit)
        self._expected.pop(fit)

    def state(self) -> tuple[float, float | None]:
        """Return the share done, 0 to 1 and never falling, and the seconds to go; None while too little is known."""
        now = time.monotonic()
        spent = {fit: now - begun for fit, begun in self._begun.items()}
        left = {fit: max(s - spent.get(fit, 0.0), 0.0) for fit, s in self._expected.items() if fit not in self._taken}
        done, to_go = sum(self._taken.values()) + sum(spent.values()), sum(left.values())
        if done + to_go > 0:
            self._fraction = max(self._fraction, done / (done + to_go))
        unknown = sum(seconds for (part, _), seconds in left.items() if part not in self._timed)
        if left and (not self._timed or unknown > _UNKNOWN_SHARE * (done + to_go)):
            return self._fraction, None
        return self._fraction, max(to_go / self._parallelism, max(left.values(), default=0.0))

    def _learn(self, fit: FitKey, seconds: float) -> None:
        """Correct the part's later estimates by how far this one was off."""
        part, _ = fit
        self._timed.add(part)
        ratio = seconds / self._guess[fit]
        for other in self._expected:
            if other[0] == part:
                self._expected[other] = self._guess[other] * ratio


def estimated_seconds(estimator: Any, rows: int) -> float:
    """Guess the seconds that an estimator takes to fit that many rows and to predict a quarter as many."""
    parameters = estimator.get_params(deep=False)
    if "epochs" in parameters:
        return 1.5 + 2e-3 * int(parameters["epochs"]) * rows / int(parameters["batch_size"])
    # Measured on two cores at 57 features and 10 classes.
    seconds_at_8000 = {"SVC": 9.0, "LogisticRegression": 1.0}.get(type(estimator).__name__, 0.3)
    return 1e-3 + seconds_at_8000 * (rows / 8000) ** 2
