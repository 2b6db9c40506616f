"""What is known of the exported model before anything is fitted, so that an export can refuse it in time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genrestack_training.config.settings import Settings
from genrestack_training.data.missing import columns_with_gaps
from genrestack_training.data.splits import Split
from genrestack_training.data.synthetic_rows import synthetic_rows
from genrestack_training.experiments import TrainingData, fit_scaler
from genrestack_training.models.stack import Scaler, build_stack


@dataclass(frozen=True, eq=False)
class FitPlan:
    """The rows of a training, and what will scale them."""

    feature_names: tuple[str, ...]
    training_rows: np.ndarray
    """Unscaled rows that will be fitted, float64, shape (m, f)."""
    training_labels: np.ndarray
    """str, shape (m,)."""
    reference_rows: np.ndarray
    """Unscaled rows that will not, float64, shape (n, f), n ≥ 1."""
    scaler: Scaler | None
    """Fitted."""
    settings: Settings

    @property
    def accepts_missing(self) -> np.ndarray:
        """Which columns a served row may lack a value in, bool (f,): those that lacked one here."""
        return columns_with_gaps(self.training_rows, self.reference_rows)

    def neighbors(self) -> Mapping[str, Any]:
        """Fit the KNN of the stack, which takes no time, on the scaled training rows; empty if the stack has none."""
        if "knn" not in self.settings.stack.estimators:
            return {}
        ((name, knn),) = build_stack(self.settings, overrides={"stack": {"estimators": ["knn"]}}).estimators
        rows = self.training_rows
        scaled = rows if self.scaler is None else np.asarray(self.scaler.transform(rows))
        return {name: knn.fit(scaled, self.training_labels)}


def plan_fit(data: TrainingData, split: Split) -> FitPlan:
    """Return the rows that will be fitted and exported, and their scaler."""
    return FitPlan(
        feature_names=data.table.feature_names,
        training_rows=data.table.features[split.training],
        training_labels=data.labels[split.training],
        reference_rows=reference_rows(data, split),
        scaler=fit_scaler(data, split),
        settings=data.settings,
    )


def reference_rows(data: TrainingData, split: Split) -> np.ndarray:
    """Return the held-out rows, float64, shape (n, f), or synthetic ones if there are none."""
    rows = data.table.features
    return rows[split.test] if len(split.test) else synthetic_rows(rows[split.training], seed=data.seed)
