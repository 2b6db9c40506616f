"""The fits that a stack is made of, each a task that can run anywhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier
from sklearn.model_selection import check_cv

from genrestack_training.models.calibration_folds import folds_of_rows

Epochs = Callable[[int, int], None]
"""Called with (epochs done, epochs in all)."""


@dataclass(frozen=True, eq=False)
class FitTask:
    """One fit: a part on all training rows (fold 0), or on all but one fold, whose rows it then predicts."""

    part: str
    """The estimator's name in the stack."""
    fold: int
    """0: all rows; 1 … folds: the rows of the other folds."""
    estimator: Any
    """Unfitted; nobody else's."""
    training: npt.NDArray[np.int64] | None
    """Numbers of the rows to fit; None: all of them."""
    test: npt.NDArray[np.int64] | None
    """Numbers of the rows to predict; None: none of them."""

    @property
    def key(self) -> tuple[str, int]:
        """Part and fold, which name a task within its stack."""
        return self.part, self.fold


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a task leaves behind: a fitted estimator (fold 0), or the probabilities of its fold's rows."""

    estimator: Any | None
    probabilities: npt.NDArray[Any] | None
    """Shape (rows of the fold, k)."""
    seconds: float
    """Time of the fit and its predictions."""


def plan_fits(stack: StackingClassifier, rows: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> list[FitTask]:
    """List the fits of a stack in the order in which `StackingClassifier.fit` makes them.

    Args:
        stack: unfitted; its `cv` is a number of folds, a splitter, or (training, test) row numbers.
        rows: scaled rows, shape (n, f).
        codes: the labels' numbers 0 … k−1, shape (n,), which is what base estimators are fitted on.

    """
    folds = list(check_cv(stack.cv, codes, classifier=True).split(rows, codes))
    whole = [FitTask(name, 0, clone(estimator), None, None) for name, estimator in stack.estimators]
    parts = [
        FitTask(name, number, folds_of_rows(clone(estimator), training), np.asarray(training), np.asarray(test))
        for name, estimator in stack.estimators
        for number, (training, test) in enumerate(folds, 1)
    ]
    return whole + parts


def run_fit(
    task: FitTask,
    rows: npt.NDArray[np.float64],
    codes: npt.NDArray[np.int64],
    *,
    epochs: Epochs | None = None,
) -> Fitted:
    """Fit one task.

    Args:
        task: what to fit; its estimator is fitted in place.
        rows: all rows of the stack, shape (n, f).
        codes: their labels' numbers, shape (n,).
        epochs: hears of the epochs, of an estimator that has any.

    """
    begun = time.monotonic()
    training = slice(None) if task.training is None else task.training
    _fit(task.estimator, np.array(rows[training]), np.array(codes[training]), epochs)
    if task.test is None:
        return Fitted(task.estimator, None, time.monotonic() - begun)
    probabilities = task.estimator.predict_proba(np.array(rows[task.test]))
    return Fitted(None, probabilities, time.monotonic() - begun)


def _fit(estimator: Any, rows: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], epochs: Epochs | None) -> None:
    # Its name begins with an underscore because scikeras takes every other attribute for a parameter.
    heard = epochs is not None and hasattr(estimator, "_epoch_listener")
    if heard:
        vars(estimator)["_epoch_listener"] = epochs
    try:
        estimator.fit(rows, codes)
    finally:
        if heard:
            del vars(estimator)["_epoch_listener"]
