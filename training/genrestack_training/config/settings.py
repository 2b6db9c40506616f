"""Every hyperparameter there is, with the notebook's values as defaults, and what each may be.

The sections and keys below are those of the TOML file that overrides a preset.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from genrestack_common.settings import Setting

SPLIT_NAMES = ("random", "track", "artist", "collection", "none")
"""What a split may be called; here so that a command can list them without importing scikit-learn."""

BACKENDS = ("local", "ray")
"""Where fits may run; here for the same reason."""

MISSING = ("error", "drop", "median")
"""What may become of rows with missing values; here likewise."""

NORMALIZE_GAIN = ("off", "auto", "on")
"""Whether a recording's gain is divided out; here likewise."""
_table = partial(Setting, "table", blanks=True)
_split, _scaler, _stack = partial(Setting, "split"), partial(Setting, "scaler"), partial(Setting, "stack")
_knn, _svc, _mlp, _meta = (
    partial(Setting, "knn"),
    partial(Setting, "svc"),
    partial(Setting, "mlp"),
    partial(Setting, "meta"),
)


@dataclass(frozen=True)
class TableSettings:
    """Which columns are features, and what becomes of missing values, before anything is split.

    A column's name may be a pattern of the shell's, such as `tag_*`.
    `missing = "error"` refuses a table with missing values, "drop" leaves their rows out, "median" fits
    `SimpleImputer(strategy="median")` in front of the scaler, on the training rows of each split: the model then
    answers rows without a value in the columns that lacked one here.
    """

    drop: Annotated[tuple[str, ...], _table("Columns that are left out, by name or pattern (tag_*).")] = ()
    features: Annotated[
        tuple[str, ...], _table("Columns that are features, by name or pattern; without it, all that can be.")
    ] = ()
    missing: Annotated[Literal["error", "drop", "median"], _table("What becomes of missing values.")] = "error"


@dataclass(frozen=True)
class SplitSettings:
    """How rows are put aside for the evaluation."""

    test_share: Annotated[float, _split("Share of the rows that are held out.", above=0, below=1)] = 0.2


@dataclass(frozen=True)
class ScalerSettings:
    """What scales the features before any estimator sees them.

    `fit_on = "all"` fits the scaler on the test rows as well, as the notebook does: the figures then know a little
    of the rows they are measured on. `distribution` and `quantiles` are those of `kind = "quantile"`.
    `normalize_gain` divides out how loud a recording was made, in front of all else, so that a song turned down gets
    the same answer: "auto" where the table has the columns that follow the gain, "on" refuses a table that lacks one.
    """

    kind: Annotated[
        Literal["minmax", "standard", "robust", "power", "quantile", "none"], _scaler("Which scaler it is.")
    ] = "minmax"
    distribution: Annotated[Literal["normal", "uniform"], _scaler("What quantiles are mapped to.")] = "normal"
    quantiles: Annotated[int, _scaler("Quantiles that are computed.", least=2)] = 1000
    fit_on: Annotated[Literal["training", "all"], _scaler("Rows that it is fitted on.")] = "training"
    normalize_gain: Annotated[
        Literal["off", "auto", "on"], _scaler("Whether a recording's gain is divided out first.")
    ] = "off"


@dataclass(frozen=True)
class StackSettings:
    """Which base estimators there are, and how the meta-learner's training rows come about.

    `folds_by` says what the folds keep whole: "split" is what the split keeps whole (single rows after a random split,
    as in the notebook; without a split, what "groups" means), "rows" nothing, "tracks" recordings with several rows,
    "groups" the coarsest that is known: artists if they were given, else recordings with several rows.
    """

    estimators: Annotated[
        tuple[Literal["knn", "svc", "mlp"], ...], _stack("Base estimators, in the stack's order.", least_items=1)
    ] = ("knn", "svc", "mlp")
    folds: Annotated[int, _stack("Folds of the out-of-fold predictions.", least=2)] = 5
    folds_by: Annotated[Literal["split", "rows", "tracks", "groups"], _stack("What a fold keeps whole.")] = "split"
    passthrough: Annotated[bool, _stack("Whether the meta-learner sees the features too.")] = True


@dataclass(frozen=True)
class KnnSettings:
    """`sklearn.neighbors.KNeighborsClassifier`; p = 1 is Manhattan distance, 2 Euclidean."""

    n_neighbors: Annotated[int, _knn("Neighbors that vote.", least=1)] = 2
    weights: Annotated[Literal["distance", "uniform"], _knn("What a vote weighs.")] = "distance"
    p: Annotated[Literal[1, 2], _knn("Power of the Minkowski distance.")] = 1


@dataclass(frozen=True)
class SvcSettings:
    """`sklearn.svm.SVC` and where its probabilities come from.

    `calibration = "libsvm"` is `probability=True`, libsvm's own five folds and coupling of pairs; "auto" is the same,
    or "temperature" on a scikit-learn that has it no more. "sigmoid" is one sigmoid a class, "temperature" one number
    for all classes, fitted to decisions of `calibration_folds` folds of whole recordings or artists
    (`CalibratedClassifierCV`, `ensemble=False`).
    """

    kernel: Annotated[Literal["rbf", "linear", "poly", "sigmoid"], _svc("Which kernel it is.")] = "rbf"
    C: Annotated[float, _svc("Inverse of the regularization.", above=0)] = 200.0
    gamma: Annotated[Literal["scale", "auto"] | float, _svc("Coefficient of the kernel.", above=0)] = "scale"
    degree: Annotated[int, _svc("Degree of the kernel poly.", least=0)] = 3
    coef0: Annotated[float, _svc("Constant of the kernels poly and sigmoid.")] = 0.0
    calibration: Annotated[
        Literal["auto", "libsvm", "sigmoid", "temperature"], _svc("Where probabilities come from.")
    ] = "auto"
    calibration_folds: Annotated[int, _svc("Folds of a sigmoid or temperature calibration.", least=2)] = 3


@dataclass(frozen=True)
class MlpSettings:
    """Dense Keras network, trained with Adam on sparse categorical cross-entropy.

    `noise` is the standard deviation of Gaussian noise on the scaled features, `dropout` the share of each hidden
    layer's units left out of a step; both act during the fit alone.
    """

    hidden: Annotated[tuple[int, ...], _mlp("Units of each hidden layer.", least=1)] = (300, 300, 300, 300, 300)
    activation: Annotated[
        Literal["relu", "elu", "gelu", "selu", "sigmoid", "silu", "softplus", "tanh"], _mlp("Of every hidden unit.")
    ] = "relu"
    learning_rate: Annotated[float, _mlp("Of Adam.", above=0)] = 1e-4
    epochs: Annotated[int, _mlp("Passes over the training rows.", least=1)] = 100
    batch_size: Annotated[int, _mlp("Rows of one step.", least=1)] = 64
    dropout: Annotated[float, _mlp("Share of hidden units left out of a step.", least=0, below=1)] = 0.0
    noise: Annotated[float, _mlp("Standard deviation of the noise on scaled features.", least=0)] = 0.0


@dataclass(frozen=True)
class MetaSettings:
    """`sklearn.linear_model.LogisticRegression`, the meta-learner, with scikit-learn's defaults."""

    C: Annotated[float, _meta("Inverse of the regularization.", above=0)] = 1.0
    max_iter: Annotated[int, _meta("Iterations at most.", least=1)] = 100


@dataclass(frozen=True)
class Settings:
    """All hyperparameters of a training, section by section."""

    table: TableSettings = TableSettings()
    split: SplitSettings = SplitSettings()
    scaler: ScalerSettings = ScalerSettings()
    stack: StackSettings = StackSettings()
    knn: KnnSettings = KnnSettings()
    svc: SvcSettings = SvcSettings()
    mlp: MlpSettings = MlpSettings()
    meta: MetaSettings = MetaSettings()
