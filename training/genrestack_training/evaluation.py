"""How good a fitted stack is on rows it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


@dataclass(frozen=True)
class ClassReport:
    """Figures of one class, each between 0 and 1; `support` counts its test rows."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """Figures of a whole stack and of each base model on the test rows."""

    accuracy: float
    base_accuracy: Mapping[str, float]
    """By the estimator's name in the stack: the share of rows on which the base model's own `predict` is right."""
    classes: tuple[ClassReport, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows of the true class i that were answered with class j, in the order of `classes`."""
    rows: int

    def figures(self) -> dict[str, float]:
        """Give the headline figures by name: "accuracy", "accuracy.knn", …, "f1.macro"."""
        base = {f"accuracy.{name}": value for name, value in self.base_accuracy.items()}
        macro = float(np.mean([c.f1 for c in self.classes]))
        return {"accuracy": self.accuracy, **base, "f1.macro": macro}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Evaluation":
        """Make one from what `dataclasses.asdict` gave."""
        classes = tuple(ClassReport(**c) for c in facts["classes"])
        confusion = tuple(tuple(row) for row in facts["confusion"])
        rest = {name: facts[name] for name in ("accuracy", "base_accuracy", "rows")}
        return cls(classes=classes, confusion=confusion, **rest)


def evaluate(stack: StackingClassifier, rows: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Measure a fitted stack.

    Args:
        stack: the fitted stack.
        rows: scaled rows, float64, shape (n, f), that were not fitted.
        labels: their true labels, str, shape (n,).

    Returns:
        Figures whose per-class precision, recall and F1 are scikit-learn's, with 0 where a class is never answered.

    """
    answers = stack.predict(rows)
    classes = stack.classes_
    figures = precision_recall_fscore_support(labels, answers, labels=classes, zero_division=0)
    reports = [
        ClassReport(str(c), float(p), float(r), float(f), int(n))
        for c, p, r, f, n in zip(classes, *figures, strict=True)
    ]
    names = [name for name, _ in stack.estimators]
    return Evaluation(
        accuracy=float(np.mean(answers == labels)),
        base_accuracy={
            n: _base_accuracy(e, stack, rows, labels) for n, e in zip(names, stack.estimators_, strict=True)
        },
        classes=tuple(reports),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion_matrix(labels, answers, labels=classes)),
        rows=len(labels),
    )


def _base_accuracy(estimator: Any, stack: StackingClassifier, rows: np.ndarray, labels: np.ndarray) -> float:
    # Base models are fitted on the labels' numbers.
    answers = stack.classes_[estimator.predict(rows)]
    return float(np.mean(answers == labels))
