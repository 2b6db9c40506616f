"""What is exported: a fitted stack with its scaler, and what it answers."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from genrestack_bundle import Golden
from genrestack_export.converters.imputer import fills_missing
from genrestack_export.converters.scaler import scaled_features
from genrestack_export.errors import ExportError, UnsupportedEstimator
from genrestack_export.remedies import without_probabilities

Rows = npt.NDArray[np.float64]
_AT_ONCE = 256


@dataclass(frozen=True)
class SourceStack:
    """A fitted stack and the scaler in front of it."""

    stack: Any
    scaler: Any
    base: dict[str, Any]
    """Fitted base estimators by name, in the order of the stack."""
    features: int
    """Columns of a raw row; an imputer with indicators gives the stack more."""

    def scale(self, rows: Rows) -> Rows:
        """Scale raw rows of shape (n, f)."""
        return rows if self.scaler is None else np.asarray(self.scaler.transform(rows), dtype=np.float64)

    def scale_or_nan(self, rows: Rows) -> Rows:
        """Scale raw rows of shape (n, f); a row on which the scaler overflows, which it may refuse, becomes NaN."""
        with np.errstate(over="ignore"):
            try:
                return self.scale(rows)
            except ValueError:
                if len(rows) == 1:
                    return np.full(rows.shape, np.nan)
            return np.vstack([self.scale_or_nan(rows[i : i + 1]) for i in range(len(rows))])

    def accepting(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return which columns may hold NaN: those where the scaler makes a finite row of it, bool (f,).

        Args:
            rows: raw reference rows, float64, shape (n, f), n ≥ 1; may hold NaN themselves.

        """
        accepts = np.zeros(self.features, dtype=np.bool_)
        if not fills_missing(self.scaler) or rows.shape[1:] != (self.features,):
            return accepts
        row = np.nan_to_num(rows[0], posinf=0, neginf=0)
        for start in range(0, self.features, _AT_ONCE):
            columns = np.arange(start, min(start + _AT_ONCE, self.features))
            probes = np.tile(row, (len(columns), 1))
            probes[np.arange(len(columns)), columns] = np.nan
            accepts[columns] = np.isfinite(self.scale_or_nan(probes)).all(axis=1)
        return accepts

    def check_order(self, names: list[str]) -> None:
        """Compare feature names with those that the scaler or the stack was fitted with, where it knows them.

        Raises:
            ExportError: a name differs, or stands in another place.

        """
        for what, estimator in (("the scaler", self.scaler), ("the stack", self.stack)):
            fitted = getattr(estimator, "feature_names_in_", names)
            if len(fitted) != len(names):
                # Names that an imputer gave what it leaves over and adds.
                continue
            for column, (given, known) in enumerate(zip(names, fitted, strict=True)):
                if given != known:
                    raise ExportError(
                        f"column {column} is named {given!r}, but {what} was fitted with {known!r} there; give the "
                        "columns the names and the order of the fit"
                    )

    def predict(self, rows: npt.NDArray[np.float32]) -> Golden:
        """Predict raw float32 rows of shape (n, f) with the estimators themselves, in float64."""
        return predict_scaled(self, self.scale(rows.astype(np.float64)), rows)


def predict_scaled(source: SourceStack, scaled: Rows, rows: npt.NDArray[np.float32]) -> Golden:
    """Predict rows that are scaled already; `rows` are the same rows as float32, as they travel."""
    # scikeras squeezes the answer for a single row to one dimension, on which a raw stack fails; two rows it answers.
    padded = np.repeat(scaled, 2, axis=0) if len(scaled) == 1 else scaled
    count = len(scaled)
    index = np.searchsorted(source.stack.classes_, source.stack.predict(padded))
    return Golden(
        rows=rows,
        class_index=np.asarray(index[:count], dtype=np.int64),
        probabilities=np.asarray(source.stack.predict_proba(padded)[:count], dtype=np.float64),
        parts={
            name: np.asarray(estimator.predict_proba(padded)[:count], dtype=np.float64)
            for name, estimator in source.base.items()
        },
    )


@contextmanager
def rows_without_names() -> Iterator[None]:
    """Suppress scikit-learn's warning that rows of an array have no names: `check_order` has checked the order."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        yield


def read_source_stack(stack: Any, scaler: Any) -> SourceStack:
    """Check what can be checked before anything is converted.

    Raises:
        ExportError: the stack or the scaler is not fitted, or the two do not fit each other.
        UnsupportedEstimator: the stack is of another kind, or takes something else than probabilities.

    """
    if not isinstance(stack, StackingClassifier):
        raise UnsupportedEstimator("the stack", type(stack).__name__, "a fitted sklearn.ensemble.StackingClassifier")
    for what, estimator in (("the stack", stack), ("the scaler", scaler)):
        try:
            if estimator is not None:
                check_is_fitted(estimator)
        except (NotFittedError, TypeError) as error:
            raise ExportError(f"{what} is not fitted; fit it first, or pass the right object") from error
    if isinstance(stack._label_encoder, list):
        raise UnsupportedEstimator("the stack", "several labels a row", "one label a row")
    names = [name for name, estimator in stack.estimators if estimator != "drop"]
    for name, method in zip(names, stack.stack_method_, strict=True):
        if method != "predict_proba":
            raise UnsupportedEstimator(
                f"base estimator {name!r}",
                f"an estimator stacked by {method}",
                f"estimators with predict_proba; fit the stack again with {_with_probabilities(stack, name)}",
            )
    base = {name: stack.named_estimators_[name] for name in names}
    _check_classes(stack, base)
    features = width = int(stack.n_features_in_)
    # What is not a scaler of ours may not know its width; it is refused by its kind.
    if hasattr(scaler, "n_features_in_"):
        features = int(scaler.n_features_in_)
        if (scaled_features(scaler) if fills_missing(scaler) else features) != width:
            raise ExportError(
                f"the scaler was fitted on {features} columns and the stack on {width}; pass the pair that "
                "belongs together"
            )
    return SourceStack(stack, scaler, base, features)


def _with_probabilities(stack: Any, name: str) -> str:
    """Return the change that makes a stack take a base estimator's probabilities."""
    estimator = stack.named_estimators_[name]
    if hasattr(estimator, "predict_proba"):
        return "StackingClassifier(stack_method='auto')"
    kind = type(estimator).__name__
    return without_probabilities(estimator) or f"an estimator that has them in place of {kind}"


def _check_classes(stack: Any, base: dict[str, Any]) -> None:
    classes = len(stack.classes_)
    for name, estimator in base.items():
        if len(estimator.classes_) != classes:
            raise UnsupportedEstimator(
                f"base estimator {name!r}",
                f"an estimator that knows {len(estimator.classes_)} of {classes} classes",
                "base estimators fitted on all classes",
            )
