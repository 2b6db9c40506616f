"""What is exported: a fitted stack with its scaler, and what it answers."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, is_regressor
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from genrestack_bundle import Golden
from genrestack_export.converters.lightgbm import names_by_place
from genrestack_export.converters.transformers.imputer import fills_missing
from genrestack_export.errors import ExportError, UnsupportedEstimator
from genrestack_export.remedies import refuse_without_probabilities

Rows = npt.NDArray[np.float64]
_AT_ONCE = 256
_CLASSIFIERS = "a fitted classifier of scikit-learn or scikeras"


@dataclass(frozen=True)
class SourceStack:
    """A fitted stack and the scaler in front of it."""

    stack: Any
    scaler: Any
    base: dict[str, Any]
    """Fitted base estimators by name, in the order of the stack."""
    features: int
    """Columns of a raw row; an imputer with indicators gives the stack more."""
    width: int = 0
    """Columns that the model sees, those that the scaler makes."""
    methods: tuple[str, ...] = ()
    """What the stack takes of each base estimator; empty for a model that is not a stack."""

    @property
    def is_stack(self) -> bool:
        """Return whether there is a final estimator."""
        return bool(self.methods)

    @property
    def passthrough(self) -> bool:
        """Return whether the final estimator sees the scaled columns too."""
        return self.is_stack and bool(self.stack.passthrough)

    @property
    def stacked_width(self) -> int:
        """Return how many columns the final estimator takes."""
        return int(self.stack.final_estimator_.n_features_in_)

    def scale(self, rows: Rows) -> Rows:
        """Scale raw rows of shape (n, f)."""
        if self.scaler is None:
            return rows
        scaled: Rows = as_dense(self.scaler.transform(with_names(self.scaler, rows)))
        return scaled

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
            if names_by_place(fitted):
                continue
            if what == "the stack" and list(fitted) == _names_out(self.scaler, names):
                continue
            if len(fitted) != len(names):
                # Names that a transformer gave what it leaves over and adds.
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
    given = with_names(source.stack, padded)
    index = np.searchsorted(source.stack.classes_, source.stack.predict(given))
    return Golden(
        rows=rows,
        class_index=np.asarray(index[:count], dtype=np.int64),
        probabilities=np.asarray(source.stack.predict_proba(given)[:count], dtype=np.float64),
        parts={name: _answers(estimator, padded)[:count] for name, estimator in source.base.items()},
    )


def _answers(estimator: Any, rows: Rows) -> Rows:
    """Return an estimator's probabilities; without `predict_proba`, 1 for the class that it predicts."""
    given = with_names(estimator, rows)
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(given), dtype=np.float64)
    votes: Rows = np.eye(len(estimator.classes_))[np.searchsorted(estimator.classes_, estimator.predict(given))]
    return votes


def with_names(estimator: Any, rows: Rows) -> Any:
    """Return rows as a DataFrame where an estimator was fitted on one: some select columns by name."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or len(names) != rows.shape[1] or names_by_place(names):
        return rows
    import pandas as pd

    return pd.DataFrame(rows, columns=list(names))


def as_dense(table: Any) -> Rows:
    """Return a table of float64; some transformers make sparse ones."""
    return np.asarray(table.toarray() if hasattr(table, "toarray") else table, dtype=np.float64)


def _names_out(scaler: Any, names: list[str]) -> list[str]:
    try:
        return [] if scaler is None else [str(name) for name in scaler.get_feature_names_out(names)]
    except (AttributeError, ValueError, NotFittedError):
        return []


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
    if not hasattr(type(stack), "fit") or is_regressor(stack):
        raise UnsupportedEstimator("the model", type(stack).__name__, _CLASSIFIERS)
    for what, estimator in (("the stack", stack), ("the scaler", scaler)):
        try:
            if estimator is not None:
                check_is_fitted(estimator)
        except (NotFittedError, TypeError) as error:
            raise ExportError(f"{what} is not fitted; fit it first, or pass the right object") from error
    if isinstance(scaler, ClassifierMixin):
        # A stack has a `transform` of its own.
        raise UnsupportedEstimator("the scaler", type(scaler).__name__, "a fitted transformer, or none")
    if not isinstance(stack, StackingClassifier):
        return _read_model(stack, scaler)
    if isinstance(stack._label_encoder, list):
        raise UnsupportedEstimator("the stack", "several labels a row", "one label a row")
    names = [name for name, estimator in stack.estimators if estimator != "drop"]
    base = {name: stack.named_estimators_[name] for name in names}
    _check_classes(stack, base)
    if not hasattr(stack, "predict_proba"):
        raise refuse_without_probabilities("the meta-learner", stack.final_estimator_)
    width = int(stack.n_features_in_)
    features = _check_width(scaler, width, "the stack")
    return SourceStack(stack, scaler, base, features, width, tuple(stack.stack_method_))


def _read_model(model: Any, scaler: Any) -> SourceStack:
    """Read a classifier that is not a stack: one base part."""
    if not hasattr(model, "predict") or not hasattr(model, "classes_"):
        raise UnsupportedEstimator("the model", type(model).__name__, _CLASSIFIERS)
    if isinstance(model.classes_, list) or getattr(model, "multilabel_", False):
        raise UnsupportedEstimator("the model", "several labels a row", "one label a row")
    if not hasattr(model, "predict_proba"):
        raise refuse_without_probabilities("the model", model)
    if len(model.classes_) < 2:
        raise UnsupportedEstimator("the model", "a classifier of one class", "two classes or more")
    known = getattr(model, "n_features_in_", None)
    if known is None:
        raise UnsupportedEstimator(
            "the model", f"{type(model).__name__} that does not know its columns", "n_features_in_"
        )
    width = int(known)
    return SourceStack(model, scaler, {"model": model}, _check_width(scaler, width, "the model"), width)


def _check_width(scaler: Any, width: int, what: str) -> int:
    """Return the number of raw columns."""
    if scaler is None:
        return width
    # What is not a transformer may not know its width; it is refused by its kind.
    features = int(getattr(scaler, "n_features_in_", width))
    try:
        made = len(scaler.get_feature_names_out())
    except (AttributeError, ValueError, TypeError, NotFittedError):
        made = width if not hasattr(scaler, "transform") else as_dense(_transform_ones(scaler, features)).shape[1]
    if made != width:
        makes = "" if made == features else f" and makes {made} of them, and {what} was fitted on {width}"
        raise ExportError(
            f"the scaler was fitted on {features} columns{makes or f' and {what} on {width}'}; pass the pair that "
            "belongs together"
        )
    return features


def _transform_ones(scaler: Any, features: int) -> Any:
    return scaler.transform(with_names(scaler, np.ones((2, features))))


def _check_classes(stack: Any, base: dict[str, Any]) -> None:
    classes = len(stack.classes_)
    for name, estimator in base.items():
        if len(estimator.classes_) != classes:
            raise UnsupportedEstimator(
                f"base estimator {name!r}",
                f"an estimator that knows {len(estimator.classes_)} of {classes} classes",
                "base estimators fitted on all classes",
            )
