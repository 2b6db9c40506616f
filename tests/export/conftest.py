"""A table of three classes and stacks that are fitted on it in a moment."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler

from genrestack_export import export_stack

NAMES = ("alpha", "beta", "gamma", "delta")


@dataclass
class Case:
    """All that an export takes; a test changes what it is about."""

    stack: Any
    scaler: Any
    training: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]
    models_dir: Path
    options: dict[str, Any] = field(default_factory=dict)

    def export(self, **changes: Any) -> Path:
        """Export the next version of `small`, with some arguments changed."""
        arguments: dict[str, Any] = {
            "feature_names": NAMES,
            "reference_rows": self.rows,
            "models_dir": self.models_dir,
            "name": "small",
        }
        stack, scaler = changes.pop("stack", self.stack), changes.pop("scaler", self.scaler)
        return export_stack(stack, scaler, **(arguments | self.options | changes))


def draw(rows: int, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    """Rows of three classes, in order, that overlap a little."""
    codes = np.arange(rows) % 3
    values = np.random.default_rng(seed).normal(size=(rows, len(NAMES))) + codes[:, None] * [1.5, -1.0, 0.5, 0.0]
    return values, np.array(["blues", "jazz", "röck"])[codes]


def knn(**parameters: Any) -> KNeighborsClassifier:
    return KNeighborsClassifier(**{"n_neighbors": 3} | parameters)


FitStack = Callable[..., Case]


@pytest.fixture
def fit(tmp_path: Path) -> FitStack:
    """Fit a stack of the base estimators given, a KNN if none are."""

    def fitter(*base: Any, meta: Any = None, stacking: Any = StackingClassifier, **options: Any) -> Case:
        training, labels = draw(90, seed=1)
        scaler = MinMaxScaler().fit(training)
        named = [(f"base{i}" if i else "first", estimator) for i, estimator in enumerate(base or [knn()])]
        stack = stacking(named, LogisticRegression() if meta is None else meta, **{"cv": 2} | options)
        stack.fit(scaler.transform(training), labels)
        return Case(stack, scaler, training, draw(30, seed=2)[0], tmp_path / "models")

    return fitter


@pytest.fixture
def small(fit: FitStack) -> Case:
    """A stack of one KNN."""
    return fit()
