"""Every hyperparameter there is, with the notebook's values as defaults, and what each may be.

The sections and keys below are those of the TOML file that overrides a preset.
"""

from dataclasses import dataclass, field
from typing import Any

SPLIT_NAMES = ("random", "track", "artist", "none")
"""What a split may be called; here so that a command can list them without importing scikit-learn."""

BACKENDS = ("local", "ray")
"""Where fits may run; here for the same reason."""


def _setting(default: Any, **limits: Any) -> Any:
    """Make a field with its limits: `least`, `above`, `below`, `choices`."""
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class SplitSettings:
    """How rows are put aside for the evaluation."""

    test_share: float = _setting(0.2, above=0.0, below=1.0)


@dataclass(frozen=True)
class ScalerSettings:
    """What scales the features before any estimator sees them.

    `fit_on = "all"` fits the scaler on the test rows as well, as the notebook does: the figures then know a little
    of the rows they are measured on. `distribution` and `quantiles` are those of `kind = "quantile"`.
    """

    kind: str = _setting("minmax", choices=("minmax", "standard", "robust", "power", "quantile", "none"))
    distribution: str = _setting("normal", choices=("normal", "uniform"))
    quantiles: int = _setting(1000, least=2)
    fit_on: str = _setting("training", choices=("training", "all"))


@dataclass(frozen=True)
class StackSettings:
    """Which base estimators there are, and how the meta-learner's training rows come about.

    `folds_by` says what the folds keep whole: "split" is what the split keeps whole (single rows after a random split,
    as in the notebook; without a split, what "groups" means), "rows" nothing, "tracks" recordings with several rows,
    "groups" the coarsest that is known: artists if they were given, else recordings with several rows.
    """

    estimators: tuple[str, ...] = _setting(("knn", "svc", "mlp"), choices=("knn", "svc", "mlp"), least_items=1)
    folds: int = _setting(5, least=2)
    folds_by: str = _setting("split", choices=("split", "rows", "tracks", "groups"))
    passthrough: bool = _setting(True)


@dataclass(frozen=True)
class KnnSettings:
    """`sklearn.neighbors.KNeighborsClassifier`; p = 1 is Manhattan distance, 2 Euclidean."""

    n_neighbors: int = _setting(2, least=1)
    weights: str = _setting("distance", choices=("distance", "uniform"))
    p: int = _setting(1, choices=(1, 2))


@dataclass(frozen=True)
class SvcSettings:
    """`sklearn.svm.SVC` and where its probabilities come from.

    `calibration = "libsvm"` is `probability=True`, libsvm's own five folds and coupling of pairs; "sigmoid" is one
    sigmoid a class, fitted to decisions of `calibration_folds` folds (`CalibratedClassifierCV`, `ensemble=False`).
    """

    kernel: str = _setting("rbf", choices=("rbf", "linear", "poly", "sigmoid"))
    C: float = _setting(200.0, above=0.0)
    gamma: str | float = _setting("scale", choices=("scale", "auto"), above=0.0)
    degree: int = _setting(3, least=0)
    coef0: float = _setting(0.0)
    calibration: str = _setting("libsvm", choices=("libsvm", "sigmoid"))
    calibration_folds: int = _setting(3, least=2)


@dataclass(frozen=True)
class MlpSettings:
    """Dense Keras network, trained with Adam on sparse categorical cross-entropy.

    `noise` is the standard deviation of Gaussian noise on the scaled features, `dropout` the share of each hidden
    layer's units left out of a step; both act during the fit alone.
    """

    hidden: tuple[int, ...] = _setting((300, 300, 300, 300, 300), least=1)
    activation: str = _setting("relu", choices=("relu", "elu", "gelu", "selu", "sigmoid", "silu", "softplus", "tanh"))
    learning_rate: float = _setting(1e-4, above=0.0)
    epochs: int = _setting(100, least=1)
    batch_size: int = _setting(64, least=1)
    dropout: float = _setting(0.0, least=0.0, below=1.0)
    noise: float = _setting(0.0, least=0.0)


@dataclass(frozen=True)
class MetaSettings:
    """`sklearn.linear_model.LogisticRegression`, the meta-learner, with scikit-learn's defaults."""

    C: float = _setting(1.0, above=0.0)
    max_iter: int = _setting(100, least=1)


@dataclass(frozen=True)
class Settings:
    """All hyperparameters of a training, section by section."""

    split: SplitSettings = SplitSettings()
    scaler: ScalerSettings = ScalerSettings()
    stack: StackSettings = StackSettings()
    knn: KnnSettings = KnnSettings()
    svc: SvcSettings = SvcSettings()
    mlp: MlpSettings = MlpSettings()
    meta: MetaSettings = MetaSettings()
