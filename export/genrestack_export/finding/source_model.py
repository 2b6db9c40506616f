"""What is exported: a model with what stands in front of it, and how it was found."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SourceModel:
    """What an export starts from."""

    model: Any
    """The fitted estimator that answers: a `StackingClassifier`, or any other classifier."""
    preprocessing: Any = None
    """One fitted transformer, a fitted `Pipeline` of several, or None: from raw rows to those of the model."""
    classes: tuple[str, ...] | None = None
    """Names shown to people, in the order of `model.classes_`; None: their `str`."""
    feature_names: tuple[str, ...] | None = None
    """Names of the raw columns, in the order of the fit; None if nothing was fitted with names."""
    found: str = ""
    """In words: `StandardScaler -> StackingClassifier of knn, svc; labels from LabelEncoder`."""
