"""Rows on which nearest neighbours have no single answer, so that nothing can be compared."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KNeighborsClassifier

from genrestack_export.knn import Neighbors, read_knn

_RELATIVE = 1e-12
# scikit-learn's own distances are this exact; whatever is closer is looked at again.
_SUSPECT = 1e-6


def tied_rows(base: dict[str, Any], scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell for each scaled row, shape (n, f), whether a KNN of the stack ties on it.

    A row ties when the distances of the k-th and the (k + 1)-th neighbour are equal within 1e-12 relative and the
    classes of the points at that distance differ: scikit-learn's choice then depends on its algorithm and threads.
    """
    tied = np.zeros(len(scaled), dtype=np.bool_)
    for name, estimator in base.items():
        if type(estimator) is KNeighborsClassifier:
            tied |= _tied(read_knn(name, estimator), estimator, scaled)
    return tied


def _tied(neighbors: Neighbors, estimator: Any, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    tied = np.zeros(len(scaled), dtype=np.bool_)
    k = neighbors.k
    if k >= len(neighbors.points):
        return tied
    distances, _ = estimator.kneighbors(scaled, k + 1)
    suspects = np.flatnonzero(distances[:, k] - distances[:, k - 1] <= _SUSPECT * distances[:, k])
    for row in suspects:
        exact = _distances(neighbors, scaled[row])
        last, next_ = np.partition(exact, (k - 1, k))[k - 1 : k + 1]
        if next_ - last <= _RELATIVE * next_:
            group = np.abs(exact - last) <= _RELATIVE * next_
            tied[row] = len(set(neighbors.labels[group])) > 1
    return tied


def _distances(neighbors: Neighbors, row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    difference = neighbors.points - row
    if neighbors.p == 1:
        return np.asarray(np.abs(difference).sum(axis=1))
    return np.asarray(np.sqrt((difference**2).sum(axis=1)))
