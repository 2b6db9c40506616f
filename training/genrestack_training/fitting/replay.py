"""Pass finished fits to the stack's own `fit`, which then puts the stack together as it always does.

A `StackingClassifier` fits nothing but clones of its estimators, and scikit-learn lets an estimator say how it is
cloned. Here the clones take over what has been fitted already: on all rows, the fitted estimator's attributes; on a
fold, its probabilities. What is left for `fit` to compute is the meta-learner. The fitted stack holds plain
estimators that remember nothing of this.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier

from genrestack_training.fitting.tasks import Fitted


@contextmanager
def replayed(stack: StackingClassifier, fits: Mapping[tuple[str, int], Fitted]) -> Iterator[None]:
    """Make `stack.fit` within the block use the base estimators' fits from `fits`.

    Args:
        stack: unfitted.
        fits: every fit of `plan_fits`, by part and fold.

    """
    for name, estimator in stack.estimators:
        _replay_clones(estimator, iter(sorted((key, fits[key]) for key in fits if key[0] == name)))
    try:
        yield
    finally:
        for _, estimator in stack.estimators:
            vars(estimator).pop("__sklearn_clone__", None)


def _replay_clones(estimator: Any, fits: Iterator[tuple[tuple[str, int], Fitted]]) -> None:
    """Make every clone of an estimator, and every clone of a clone, use the next fit when it is fitted."""

    def cloned() -> Any:
        fit = vars(estimator).pop("fit", None)
        del estimator.__sklearn_clone__
        try:
            copy = clone(estimator)
        finally:
            estimator.__sklearn_clone__ = cloned
            if fit is not None:
                estimator.fit = fit
        _replay_clones(copy, fits)
        copy.fit = _replaying_fit(copy, fits)
        return copy

    estimator.__sklearn_clone__ = cloned


def _replaying_fit(estimator: Any, fits: Iterator[tuple[tuple[str, int], Fitted]]) -> Callable[..., Any]:
    def fit(X: Any, y: Any) -> Any:  # noqa: ARG001 - scikit-learn's signature
        _, fitted = next(fits)
        for name in ("fit", "__sklearn_clone__"):
            vars(estimator).pop(name)
        if fitted.estimator is not None:
            vars(estimator).update(vars(fitted.estimator))
        else:
            _answer_from(estimator, fitted, y)
        return estimator

    return fit


def _answer_from(estimator: Any, fitted: Fitted, codes: Any) -> None:
    """Make an estimator that lives for one fold return what was predicted for it."""
    probabilities = fitted.probabilities

    def predict_proba(X: Any) -> Any:
        if probabilities is None or len(X) != len(probabilities):
            raise RuntimeError("the stack asks for other rows than were planned; its folds must not change")
        return probabilities

    vars(estimator)["predict_proba"] = predict_proba
    # `cross_val_predict` asks which classes the fold's training side had.
    vars(estimator)["classes_"] = np.unique(codes)
