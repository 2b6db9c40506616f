"""Small fitted stacks to export, serve and compare with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from genrestack_export import export_stack

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class FittedStack:
    """A fitted stack with rows it has not seen."""

    stack: Any
    scaler: Any
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    training_rows: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]
    """Rows the stack was not fitted on, unscaled."""
    labels: list[str]
    """The true labels of `rows`."""

    @property
    def base(self) -> dict[str, Any]:
        """Fitted base estimators by name."""
        return dict(self.stack.named_estimators_)

    def scale(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Scale raw rows."""
        rows = np.asarray(rows, dtype=np.float64)
        return rows if self.scaler is None else np.asarray(self.scaler.transform(rows))

    def probabilities(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """What the original answers."""
        return np.asarray(self.stack.predict_proba(self.scale(rows)))

    def predict(self, rows: npt.NDArray[Any]) -> list[str]:
        """Labels the original gives."""
        return [str(label) for label in self.stack.predict(self.scale(rows))]


def fit_digits(train: int = 600, test: int = 200) -> FittedStack:
    """Fit a stack without a network on some of scikit-learn's digits, in about a second."""
    digits = load_digits()
    words = np.array([WORDS[i] for i in digits.target])
    scaler = MinMaxScaler().fit(digits.data[:train])
    stack = StackingClassifier(
        [
            ("knn", KNeighborsClassifier(n_neighbors=2, weights="distance", p=1)),
            ("svc", SVC(C=10, probability=True, random_state=0)),
        ],
        final_estimator=LogisticRegression(max_iter=2000),
        passthrough=True,
        cv=3,
    ).fit(scaler.transform(digits.data[:train]), words[:train])
    rows = slice(train, train + test)
    return FittedStack(
        stack,
        scaler,
        tuple(f"pixel_{i}" for i in range(64)),
        tuple(str(c) for c in stack.classes_),
        digits.data[:train],
        digits.data[rows],
        [str(w) for w in words[rows]],
    )


def export(fitted: FittedStack, models_dir: Path, name: str, **options: Any) -> Path:
    """Export a fitted stack as the next version of `name`."""
    return export_stack(
        fitted.stack,
        fitted.scaler,
        feature_names=fitted.feature_names,
        classes=fitted.classes,
        reference_rows=fitted.rows,
        training_rows=fitted.training_rows,
        models_dir=models_dir,
        name=name,
        **options,
    )
