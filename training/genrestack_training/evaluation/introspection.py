"""Weights, learning curves and feature ranges of a fitted stack: what a report draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier

from genrestack_training.evaluation.predictions import meta_width


@dataclass(frozen=True)
class MetaWeights:
    """The meta-learner: a column's share in the score of each class."""

    columns: tuple[str, ...]
    """`svc:jazz`, what the SVC gives jazz; then the scaled features by their names. Of two classes only the second."""
    coefficients: tuple[tuple[float, ...], ...]
    """One line a class, in the order of `classes`; of two classes, one line, for the second."""
    intercepts: tuple[float, ...]


@dataclass(frozen=True)
class LearningCurve:
    """How a network learned, epoch by epoch, in its fit on all training rows."""

    loss: tuple[float, ...]
    accuracy: tuple[float, ...] | None
    """None if the network does not count it."""


@dataclass(frozen=True)
class FeatureRange:
    """Values of a feature, unscaled; with the gain divided out where the model does that."""

    name: str
    fitted_min: float
    fitted_max: float
    held_back_min: float
    held_back_max: float
    outside: float
    """Share of the held-out rows whose value lies outside the fitted range."""


@dataclass(frozen=True)
class Introspection:
    """Weights, learning curves and feature ranges of a fitted stack."""

    meta: MetaWeights | None
    """None if the meta-learner is not linear."""
    curves: Mapping[str, LearningCurve]
    """By base model; of those that learn in epochs."""
    features: tuple[FeatureRange, ...]


def introspect(
    stack: StackingClassifier, feature_names: Sequence[str], fitted: np.ndarray, held_back: np.ndarray
) -> Introspection:
    """Collect the weights, learning curves and feature ranges of a fitted stack.

    Args:
        stack: fitted.
        feature_names: of the unscaled rows' f columns.
        fitted: unscaled training rows, gain divided out if the model does that, float64, shape (m, f).
        held_back: the same of rows that were not fitted, float64, shape (n, f), n ≥ 1.

    """
    names = [name for name, _ in stack.estimators]
    histories = {n: getattr(e, "history_", None) for n, e in zip(names, stack.estimators_, strict=True)}
    return Introspection(
        meta=_weights(stack, names, feature_names),
        curves={name: _curve(history) for name, history in histories.items() if history},
        features=_ranges(feature_names, fitted, held_back),
    )


def _weights(stack: StackingClassifier, names: Sequence[str], feature_names: Sequence[str]) -> MetaWeights | None:
    meta = stack.final_estimator_
    if not hasattr(meta, "coef_"):
        return None
    classes = stack.classes_[-meta_width(len(stack.classes_)) :]
    columns = [f"{name}:{label}" for name in names for label in classes]
    columns += list(feature_names) if stack.passthrough else []
    return MetaWeights(
        tuple(columns), tuple(tuple(map(float, row)) for row in meta.coef_), tuple(map(float, meta.intercept_))
    )


def _curve(history: Mapping[str, Any]) -> LearningCurve:
    counted = history.get("accuracy", history.get("sparse_categorical_accuracy"))
    return LearningCurve(tuple(map(float, history["loss"])), None if counted is None else tuple(map(float, counted)))


def _ranges(names: Sequence[str], fitted: np.ndarray, held_back: np.ndarray) -> tuple[FeatureRange, ...]:
    # Missing values lie nowhere; a column that has no value among the held-out rows goes beyond nothing.
    low, high = np.fmin.reduce(fitted, axis=0), np.fmax.reduce(fitted, axis=0)
    outside = ((held_back < low) | (held_back > high)).mean(axis=0)
    least, most = np.fmin.reduce(held_back, axis=0), np.fmax.reduce(held_back, axis=0)
    least, most = np.where(np.isnan(least), low, least), np.where(np.isnan(most), high, most)
    columns = zip(names, low, high, least, most, outside, strict=True)
    return tuple(FeatureRange(name, *map(float, values)) for name, *values in columns)
