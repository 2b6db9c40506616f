"""Linear classifiers: one product, then a sigmoid, a softmax, or nothing."""

from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.svm import LinearSVC

from genrestack_export.converters.context import CLASSIFIERS, Answer, Context, Make, Table, lazy

_BINARY = 2


def _decision(c: Context, estimator: Any, rows: Table) -> Make:
    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    bias = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64), (len(weights),))
    return lazy(lambda: c.g.node("Gemm", rows.name, c.array(weights.T), c.array(bias)))


def linear_index(c: Context, classes: int, decision: Make) -> Make:
    """Return what scikit-learn predicts from a decision: the larger side of zero, or the largest column."""
    if classes == _BINARY:
        return lazy(lambda: c.above(decision(), 0))
    return lazy(lambda: c.g.node("ArgMax", decision(), axis=1, keepdims=0))


def _one_vs_rest(c: Context, classes: int, decision: Make) -> Make:
    if classes == _BINARY:
        return lazy(lambda: c.beside(c.expit(decision())))
    return lazy(lambda: c.shares(c.expit(decision()), 1 / classes))


def _clipped(c: Context, classes: int, decision: Make) -> Make:
    """Return shares of (min(max(d, −1), 1) + 1) / 2 (Zhang 2004, as in scikit-learn); equal ones where all are 0."""

    def halves() -> str:
        clipped = c.g.node("Clip", decision(), c.number(-1), c.number(1))
        return c.g.node("Div", c.g.node("Add", clipped, c.number(1)), c.number(2))

    return lazy(lambda: c.beside(halves()) if classes == _BINARY else c.shares(halves(), 1 / classes))


def _softmax(c: Context, classes: int, decision: Make, scale: float = 1.0) -> Make:
    if classes == _BINARY:
        return lazy(lambda: c.beside(c.expit(c.g.node("Mul", decision(), c.number(scale)))))
    return lazy(lambda: c.g.node("Softmax", decision(), axis=1))


def logistic(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `LogisticRegression` and `LogisticRegressionCV`, multinomial or one against the rest."""
    classes, decision = len(estimator.classes_), _decision(c, estimator, rows)
    how = getattr(estimator, "multi_class", "auto")
    if how == "ovr" or estimator.solver == "liblinear":
        probabilities = _one_vs_rest(c, classes, decision)
    else:
        # Asked for by name, multinomial is a softmax of −d and d for two classes too.
        probabilities = _softmax(c, classes, decision, 2.0 if how == "multinomial" else 1.0)
    return Answer(classes, probabilities, decision, linear_index(c, classes, decision))


def discriminant(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `LinearDiscriminantAnalysis`."""
    classes, decision = len(estimator.classes_), _decision(c, estimator, rows)
    return Answer(classes, _softmax(c, classes, decision), decision, linear_index(c, classes, decision))


def decision_only(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert linear classifiers that have no probabilities."""
    classes, decision = len(estimator.classes_), _decision(c, estimator, rows)
    return Answer(classes, None, decision, linear_index(c, classes, decision))


def descent(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `SGDClassifier`; with the losses log_loss and modified_huber it has probabilities."""
    classes, decision = len(estimator.classes_), _decision(c, estimator, rows)
    probabilities = {"log_loss": _one_vs_rest, "modified_huber": _clipped}.get(estimator.loss)
    made = None if probabilities is None else probabilities(c, classes, decision)
    return Answer(classes, made, decision, linear_index(c, classes, decision))


CLASSIFIERS.update(
    {
        LogisticRegression: logistic,
        LogisticRegressionCV: logistic,
        LinearDiscriminantAnalysis: discriminant,
        SGDClassifier: descent,
        **dict.fromkeys((LinearSVC, RidgeClassifier, RidgeClassifierCV, Perceptron), decision_only),
    }
)
