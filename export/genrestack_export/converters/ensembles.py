"""Classifiers made of classifiers: pipelines, votes, bags, calibration, one against the rest, stacks in stacks."""

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline

from genrestack_export.converters.calibrators import calibrate
from genrestack_export.converters.context import CLASSIFIERS, Answer, Context, Table, lazy

_BINARY = 2


def pipeline(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert a `Pipeline`: transformers, then a classifier."""
    for _, step in estimator.steps[:-1]:
        rows = c.transform(step, rows)
    return c.classify(estimator.steps[-1][1], rows)


def searched(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert a search: what it found best."""
    if not hasattr(estimator, "best_estimator_"):
        raise c.refuse(f"{type(estimator).__name__}(refit=False)", "refit=True")
    return c.classify(estimator.best_estimator_, rows)


def frozen(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert what a `FrozenEstimator` holds."""
    return c.classify(estimator.estimator, rows)


def threshold(c: Context, estimator: Any, _: Table) -> Answer:
    """Refuse classifiers with a threshold of their own, by name."""
    raise c.refuse(type(estimator).__name__, "the classifier inside, whose threshold is one half")


def voting(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert a soft `VotingClassifier`."""
    if estimator.voting != "soft":
        raise c.refuse("VotingClassifier(voting='hard')", "VotingClassifier(voting='soft'); fit it again so")
    members, weights = estimator.estimators_, estimator._weights_not_none
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=np.float64)

    def mean() -> str:
        parts = [
            c.g.node("Mul", c.probabilities(member, rows), c.number(float(weight)))
            for member, weight in zip(members, weights, strict=True)
        ]
        return c.g.node("Div", c.total(parts), c.number(float(weights.sum())))

    return Answer(len(estimator.classes_), lazy(mean))


def bagging(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert a `BaggingClassifier`, of rows or of columns."""
    k = len(estimator.classes_)
    answers = [
        c.classify(member, Table(c.columns(rows.name, columns), len(columns)))
        for member, columns in zip(estimator.estimators_, estimator.estimators_features_, strict=True)
    ]

    def mean() -> str:
        parts = []
        for member, answer in zip(estimator.estimators_, answers, strict=True):
            if answer.probabilities is None:
                # Its classes are codes of the whole.
                index = c.g.node("Gather", c.g.constant(member.classes_, np.int64), c.index(answer))
                parts.append(c.one_hot(index, k))
            else:
                parts.append(_spread(c, answer.probabilities(), member.classes_, k))
        return c.g.node("Div", c.total(parts), c.number(len(parts)))

    def decision() -> str:
        scores = [answer.decision() for answer in answers if answer.decision is not None]
        return c.g.node("Div", c.total(scores), c.number(len(scores)))

    # Members that have not seen all classes have scores of other widths; scikit-learn fails on them too.
    scored = all(answer.decision is not None and answer.classes == k for answer in answers)
    return Answer(k, lazy(mean), lazy(decision) if scored else None)


def _spread(c: Context, columns: str, codes: Any, classes: int) -> str:
    """Put columns where their classes belong; a member may not have seen all."""
    if len(codes) == classes:
        return columns
    return c.g.node("MatMul", columns, c.array(np.eye(classes)[np.asarray(codes, dtype=np.int64)]))


def calibrated(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `CalibratedClassifierCV`: the mean of its folds, each with calibrators of its own."""
    k = len(estimator.classes_)

    def mean() -> str:
        folds = [_fold(c, fold, rows, k) for fold in estimator.calibrated_classifiers_]
        return folds[0] if len(folds) == 1 else c.g.node("Div", c.total(folds), c.number(len(folds)))

    return Answer(k, lazy(mean))


def _fold(c: Context, fold: Any, rows: Table, classes: int) -> str:
    answer = c.classify(fold.estimator, rows)
    if answer.decision is not None:
        scores, probabilities = answer.decision(), False
    elif answer.probabilities is not None:
        scores, probabilities = answer.probabilities(), True
    else:
        raise c.refuse(f"CalibratedClassifierCV({type(fold.estimator).__name__}())", "a classifier with scores")
    codes = np.searchsorted(fold.classes, fold.estimator.classes_)
    return calibrate(c, fold, scores, codes, classes, probabilities=probabilities)


def one_vs_rest(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `OneVsRestClassifier`."""
    if estimator.multilabel_:
        raise c.refuse("OneVsRestClassifier of several labels", "one label a row")
    k, members = len(estimator.classes_), list(estimator.estimators_)
    answers = [c.classify(member, rows) for member in members]

    def scores() -> str:
        columns = []
        for answer in answers:
            if answer.decision is not None:
                columns.append(answer.decision())
            else:
                columns.append(_second(c, answer))
        return c.g.node("Concat", *columns, axis=1)

    def probabilities() -> str:
        columns = [_second(c, answer) for answer in answers]
        if len(members) == 1:
            return c.beside(columns[0])
        return c.shares(c.g.node("Concat", *columns, axis=1), 0.0)

    made = lazy(scores)
    by_decision = all(answer.decision is not None for answer in answers)

    def index() -> str:
        if len(members) == 1:
            return c.above(made(), 0 if by_decision else 0.5)
        return c.g.node("ArgMax", made(), axis=1, keepdims=0)

    has = all(answer.probabilities is not None for answer in answers)
    return Answer(k, lazy(probabilities) if has else None, made if by_decision else None, lazy(index))


def _second(c: Context, answer: Answer) -> str:
    if answer.probabilities is None:
        raise c.refuse(
            "OneVsRestClassifier of classifiers without predict_proba",
            "classifiers that have it; fit it again with one, or with CalibratedClassifierCV around them",
        )
    return c.columns(answer.probabilities(), [1])


def stacking(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert a stack within a stack."""
    if isinstance(estimator._label_encoder, list):
        raise c.refuse("a stack of several labels", "one label a row")
    names = [name for name, member in estimator.estimators if member != "drop"]
    k, columns = len(estimator.classes_), []
    for name, method in zip(names, estimator.stack_method_, strict=True):
        answer = c.classify(estimator.named_estimators_[name], rows)
        columns.append(stacked(c, estimator.named_estimators_[name], answer, method, k))
    if estimator.passthrough:
        columns.append(rows)
    value = Table(
        c.g.node("Concat", *(column.name for column in columns), axis=1), sum(column.width for column in columns)
    )
    return c.classify(estimator.final_estimator_, value)


def stacked(c: Context, estimator: Any, answer: Answer, method: str, classes: int) -> Table:
    """Return what a stack hands to its final estimator of one member."""
    if method == "predict":
        codes = np.asarray(estimator.classes_)
        if codes.dtype.kind not in "iufb":
            raise c.refuse("stack_method='predict' of text labels", "members fitted on codes, or predict_proba")
        values = c.g.node("Gather", c.array(codes.astype(np.float64)), c.index(answer))
        return Table(c.g.node("Unsqueeze", values, c.g.constant([1], np.int64)), 1)
    made = answer.decision if method == "decision_function" else answer.probabilities
    if made is None:
        raise c.refuse(f"{type(estimator).__name__} stacked by {method}", "predict_proba, decision_function or predict")
    if method == "predict_proba":
        if classes == _BINARY:
            return Table(c.columns(made(), [1]), 1)
        return Table(made(), classes)
    return Table(made(), 1 if answer.classes == _BINARY else answer.classes)


CLASSIFIERS.update(
    {
        Pipeline: pipeline,
        **dict.fromkeys((GridSearchCV, RandomizedSearchCV), searched),
        **dict.fromkeys((FixedThresholdClassifier, TunedThresholdClassifierCV), threshold),
        FrozenEstimator: frozen,
        VotingClassifier: voting,
        BaggingClassifier: bagging,
        CalibratedClassifierCV: calibrated,
        OneVsRestClassifier: one_vs_rest,
        StackingClassifier: stacking,
    }
)
