"""The KNNs within an estimator, and the rows that reach them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from genrestack_export.source_stack import as_dense, with_names

Rows = npt.NDArray[np.float64]


def neighbors_within(estimator: Any, rows: Rows | None) -> Iterator[tuple[Any, Any]]:
    """Yield each fitted `KNeighborsClassifier` in an estimator, with the rows that it is asked.

    Args:
        estimator: fitted.
        rows: what the estimator is asked, shape (n, f); None: only which KNNs there are.

    """
    if type(estimator) is KNeighborsClassifier:
        yield estimator, rows
    elif isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            if rows is not None and step is not None and step != "passthrough":
                rows = as_dense(step.transform(with_names(step, rows)))
        yield from neighbors_within(estimator.steps[-1][1], rows)
    else:
        for inner, columns in _members(estimator):
            yield from neighbors_within(inner, rows if rows is None or columns is None else rows[:, columns])
        final = getattr(estimator, "final_estimator_", None)
        if final is not None and any(True for _ in neighbors_within(final, None)):
            stacked = None if rows is None else as_dense(estimator.transform(with_names(estimator, rows)))
            yield from neighbors_within(final, stacked)


def _members(estimator: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the fitted estimators that are asked the same rows, with the columns they take; None: all."""
    best = getattr(estimator, "best_estimator_", None)
    if best is not None:
        yield best, None
    # A search and a bag have an unfitted one of that name.
    if type(estimator).__name__ in {"FrozenEstimator", "_CalibratedClassifier"}:
        yield estimator.estimator, None
    for fold in getattr(estimator, "calibrated_classifiers_", ()):
        yield fold, None
    members = getattr(estimator, "estimators_", ())
    columns = getattr(estimator, "estimators_features_", None)
    # Trees of boosting come as a table, and have no neighbours in them.
    for position, member in enumerate(members if isinstance(members, list) else ()):
        yield member, None if columns is None else columns[position]
