"""Ablation: the meta-learners of stacks without each base model.

A stack's meta-learner is fitted on the base models' out-of-fold probabilities, which do not depend on each other. A
stack without one model would therefore fit the same other models on the same folds and give its meta-learner the same
columns but for the missing ones: to have it, only the meta-learner needs fitting.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier
from sklearn.model_selection import check_cv

from genrestack_training.evaluation.predictions import meta_width
from genrestack_training.fitting import Fitted


def meta_rows(
    stack: StackingClassifier, fits: Mapping[tuple[str, int], Fitted], rows: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Assemble the rows that a stack's meta-learner was fitted on.

    Args:
        stack: the fitted stack.
        fits: what `fit_stack` gave: every base model's predictions of the rows of each fold.
        rows: scaled rows, float64, shape (m, f).
        labels: shape (m,).

    Returns:
        float64, shape (m, columns): each base model's out-of-fold probabilities, then the rows if they are passed on.

    """
    codes = np.searchsorted(stack.classes_, labels)
    tests = [test for _, test in check_cv(stack.cv, codes, classifier=True).split(rows, codes)]
    width = meta_width(len(stack.classes_))
    parts = []
    for name, _ in stack.estimators:
        columns = np.empty((len(rows), width))
        for number, test in enumerate(tests, 1):
            columns[test] = np.asarray(fits[name, number].probabilities)[:, -width:]
        parts.append(columns)
    return np.hstack([*parts, rows] if stack.passthrough else parts)


def metas_without_each(
    stack: StackingClassifier, columns: np.ndarray, labels: np.ndarray
) -> dict[str, tuple[Any, np.ndarray]]:
    """Fit the meta-learner of a stack without each base model.

    Args:
        stack: the fitted stack.
        columns: what its meta-learner was fitted on, as `meta_rows` gives it.
        labels: of these rows, shape (m,).

    Returns:
        Base model → the fitted meta-learner and the numbers of the columns it takes; empty if there is one model only.

    """
    names = [name for name, _ in stack.estimators]
    if len(names) < 2:
        return {}
    codes, width = np.searchsorted(stack.classes_, labels), meta_width(len(stack.classes_))
    every = np.arange(columns.shape[1])
    taken = {name: every[(every < i * width) | (every >= (i + 1) * width)] for i, name in enumerate(names)}
    return {name: (clone(stack.final_estimator).fit(columns[:, kept], codes), kept) for name, kept in taken.items()}
