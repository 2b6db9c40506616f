"""Settings → scikit-learn estimators, none of them fitted yet."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler
from sklearn.svm import SVC

from genrestack_export.gain import GainNormalizer
from genrestack_training.config.presets import Overrides, resolve_settings
from genrestack_training.config.settings import KnnSettings, MlpSettings, Settings, SvcSettings
from genrestack_training.data.splits import Folds
from genrestack_training.models.calibration import resolve_calibration
from genrestack_training.models.calibration_folds import CalibrationFolds


def build_stack(
    preset: str | Settings = "notebook",
    *,
    overrides: Overrides | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    folds: Folds | None = None,
    groups: npt.NDArray[np.int64] | None = None,
) -> StackingClassifier:
    """Build the unfitted stack of a preset: base estimators "knn", "svc", "mlp" and a logistic regression over them.

    Args:
        preset: a key of `PRESETS`, or whole settings.
        overrides: section → key → value, laid over the preset.
        epochs: shortcut for the network's number of epochs.
        seed: makes the estimators that draw random numbers (the SVC's inner folds, the network) repeatable.
        folds: the rows of each fold, which the meta-learner's training rows come from; by default the settings' number
            of folds, cut by class alone.
        groups: number of each row's recording or artist, which a calibrated SVC keeps whole in its own folds; None:
            nothing. A stack with groups is fitted by `fit_stack`, which knows whose rows are whose.

    Returns:
        scikit-learn's own `StackingClassifier`. It expects scaled rows, float64, shape (n, f), and takes any labels.

    Raises:
        SettingsError: an unknown preset or setting, or a value that cannot be.

    """
    settings, _ = resolve_calibration(resolve_settings(preset, overrides=overrides, epochs=epochs))
    makers = {
        "knn": lambda: _knn(settings.knn),
        "svc": lambda: _svc(settings.svc, seed, groups),
        "mlp": lambda: _mlp(settings.mlp, seed),
    }
    return StackingClassifier(
        estimators=[(name, makers[name]()) for name in settings.stack.estimators],
        final_estimator=LogisticRegression(C=settings.meta.C, max_iter=settings.meta.max_iter),
        cv=settings.stack.folds if folds is None else folds,
        passthrough=settings.stack.passthrough,
    )


Scaler: TypeAlias = (
    MinMaxScaler
    | StandardScaler
    | RobustScaler
    | PowerTransformer
    | QuantileTransformer
    | SimpleImputer
    | GainNormalizer
    | Pipeline
)
"""What stands in front of a stack: a scaler, an imputer, what divides the gain out, or several as a pipeline."""


def build_scaler(settings: Settings, *, rows: int | None = None) -> Scaler | None:
    """Build the unfitted scaler that the settings name; None for "none".

    Args:
        settings: of which the section [scaler] counts.
        rows: how many it will be fitted on; there are no more quantiles than that.

    """
    chosen = settings.scaler
    quantiles = chosen.quantiles if rows is None else min(chosen.quantiles, rows)
    makers: dict[str, Callable[[], Scaler | None]] = {
        "minmax": MinMaxScaler,
        "standard": StandardScaler,
        "robust": RobustScaler,
        "power": PowerTransformer,
        # Quantiles of all rows: scikit-learn's default draws 10,000 of them.
        "quantile": lambda: QuantileTransformer(
            n_quantiles=quantiles, output_distribution=chosen.distribution, subsample=None
        ),
        "none": lambda: None,
    }
    return makers[chosen.kind]()


def _knn(settings: KnnSettings) -> KNeighborsClassifier:
    return KNeighborsClassifier(n_neighbors=settings.n_neighbors, weights=settings.weights, p=settings.p)


def _svc(settings: SvcSettings, seed: int | None, groups: npt.NDArray[np.int64] | None) -> SVC | CalibratedClassifierCV:
    libsvm = settings.calibration == "libsvm"
    svc = SVC(
        C=settings.C,
        kernel=settings.kernel,
        gamma=settings.gamma,
        degree=settings.degree,
        coef0=settings.coef0,
        **({"probability": True, "random_state": seed} if libsvm else {}),
    )
    if libsvm:
        return svc
    folds = CalibrationFolds(settings.calibration_folds, groups, seed)
    return CalibratedClassifierCV(svc, method=settings.calibration, cv=folds, ensemble=False)


def _mlp(settings: MlpSettings, seed: int | None) -> Any:
    # Imports TensorFlow, which takes seconds: only when a stack with a network is built.
    from genrestack_training.models.mlp import StackableKerasClassifier, build_mlp

    return StackableKerasClassifier(
        model=build_mlp,
        model__hidden=settings.hidden,
        model__activation=settings.activation,
        **_regularisation(settings),
        loss="sparse_categorical_crossentropy",
        optimizer="adam",
        optimizer__learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        verbose=0,
        random_state=seed,
    )


def _regularisation(settings: MlpSettings) -> dict[str, Any]:
    """Return what is not zero, so that a network without it is the notebook's, parameter for parameter."""
    return {f"model__{name}": value for name in ("dropout", "noise") if (value := getattr(settings, name))}
