"""What stands around one estimator: pipelines, searches for parameters, and frozen estimators."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from genrestack_export.errors import ExportError


@dataclass(frozen=True)
class Peeled:
    """An estimator without its wrappers."""

    model: Any
    transformers: tuple[Any, ...] = ()
    """Fitted, from the one that raw rows pass first."""
    searches: tuple[str, ...] = ()
    """Kinds of the searches whose best estimator was taken."""


def peel(estimator: Any) -> Peeled:
    """Return the model inside pipelines, searches and frozen estimators.

    Raises:
        ExportError: a search was not fitted, or fitted no best estimator.

    """
    transformers: list[Any] = []
    searches: list[str] = []
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif is_search(estimator):
            searches.append(type(estimator).__name__)
            estimator = _best(estimator)
        elif isinstance(estimator, Pipeline) and estimator.steps:
            transformers += [one for _, step in estimator.steps[:-1] for one in flatten(step)]
            estimator = estimator.steps[-1][1]
        else:
            return Peeled(estimator, tuple(transformers), tuple(searches))


def flatten(transformer: Any) -> Iterator[Any]:
    """Yield the transformers of a step, one after the other; what changes no row when predicting is left out."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return
    if isinstance(transformer, FrozenEstimator):
        yield from flatten(transformer.estimator)
    elif isinstance(transformer, Pipeline):
        for _, step in transformer.steps:
            yield from flatten(step)
    elif hasattr(transformer, "transform") or not hasattr(transformer, "fit_resample"):
        # A sampler of imbalanced-learn has no `transform`: it changes rows while fitting, and none after.
        yield transformer


def join(transformers: tuple[Any, ...]) -> Any:
    """Return None, the one transformer, or a fitted pipeline of several."""
    if len(transformers) < 2:
        return transformers[0] if transformers else None
    return Pipeline([(f"{i}-{type(step).__name__.lower()}", step) for i, step in enumerate(transformers)])


def is_search(estimator: Any) -> bool:
    """Return whether it searched for parameters: scikit-learn's searches, and others that keep a best estimator."""
    return isinstance(estimator, BaseSearchCV) or "best_estimator_" in getattr(estimator, "__dict__", {})


def _best(search: Any) -> Any:
    kind = type(search).__name__
    if hasattr(search, "best_estimator_"):
        return search.best_estimator_
    if getattr(search, "refit", True):
        raise ExportError(f"{kind} is not fitted, so it has no best estimator; fit it first")
    raise ExportError(
        f"{kind}(refit=False) keeps no fitted model; fit it with refit=True, or fit the estimator with the best "
        "parameters and export that"
    )
