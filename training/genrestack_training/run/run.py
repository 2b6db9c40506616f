"""A run: what one training made, in memory and as a folder that appears whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.ensemble import StackingClassifier

from genrestack_common.extractors import Extractor
from genrestack_training.config.settings import Settings
from genrestack_training.data.missing import columns_with_gaps
from genrestack_training.evaluation.headline import contrast, headline
from genrestack_training.evaluation.introspection import Introspection
from genrestack_training.evaluation.predictions import Predictions
from genrestack_training.evaluation.results import Evaluation
from genrestack_training.models.stack import Scaler


@dataclass(frozen=True)
class Provenance:
    """Where a run comes from."""

    data_file: str
    data_sha256: str
    row_count: int
    """Rows of the table, fitted and held out."""
    fitted_rows: int
    seed: int
    preset: str
    split: str
    split_meaning: str
    created: str
    """RFC 3339, UTC."""
    fit_seconds: float
    library_versions: Mapping[str, str]
    """By distribution name."""
    warnings: tuple[str, ...] = ()
    """Plain lines on what the training noticed."""
    extractor: Extractor | None = None
    """What computed the features from recordings, as far as the table said it."""


@dataclass(frozen=True, eq=False)
class Run:
    """A fitted stack with everything that an export or a report needs."""

    name: str
    stack: StackingClassifier
    """Fitted on the scaled `training_rows`; the one that the figures are of."""
    scaler: Scaler | None
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    """Labels in the order of the probability columns."""
    training_rows: np.ndarray
    """Unscaled rows that were fitted, float64, shape (m, f)."""
    training_labels: np.ndarray
    """str, shape (m,)."""
    reference_rows: np.ndarray
    """Unscaled rows that were not fitted, float64, shape (n, f): the test rows, or synthetic ones if there are none."""
    reference_labels: np.ndarray | None
    """str, shape (n,); None if the reference rows are synthetic."""
    evaluation: Evaluation | None
    """None if no rows were held out."""
    settings: Settings
    provenance: Provenance
    insight: Introspection
    comparisons: tuple[Evaluation, ...] = ()
    """Of the same stack fitted on other splits, for comparison; their stacks are not kept."""
    cross_validation: Evaluation | None = None
    """Over folds, if that was asked for."""
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    """By "evaluation", "track_split", …, "folds": what the metrics are computed from. Empty for a run that was read
    back: `load_predictions` reads them."""
    path: Path | None = None
    """The run's folder; None if it was not written."""
    training_names: np.ndarray | None = None
    """Name of each training row's recording, str, shape (m,); None if the table did not say."""
    training_groups: np.ndarray | None = None
    """Number of each training row's group, the coarsest that is known, int64, shape (m,)."""
    group_unit: str = "row"
    """What these groups are: "artist", "track" or "row"."""

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Return raw rows, shape (n, f), scaled for the stack."""
        return rows if self.scaler is None else np.asarray(self.scaler.transform(rows))

    @property
    def accepts_missing(self) -> tuple[str, ...]:
        """Names of the features that a served row may lack a value of: those that lacked one in the table."""
        lacking = columns_with_gaps(self.training_rows, self.reference_rows)
        return tuple(name for name, gaps in zip(self.feature_names, lacking, strict=True) if gaps)

    @property
    def metrics(self) -> dict[str, float]:
        """Headline metrics by name ("accuracy", "accuracy.knn", …); empty if no rows were held out for any."""
        return headline(self.evaluation, self.comparisons, self.cross_validation)

    @property
    def contrast(self) -> str:
        """Why a random split's figure differs from a grouped one's, in two sentences; "" if there are not both."""
        return contrast(self.evaluation, self.comparisons, self.cross_validation)

    @property
    def reference_made(self) -> bool:
        """True if the reference rows were synthesised from training rows, because every row was fitted."""
        return self.reference_labels is None
