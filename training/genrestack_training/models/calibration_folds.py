"""The folds that a calibration is fitted on: whole recordings or artists, the same in whatever order the rows come."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

_SEED: Final = 42


class CalibrationFolds:
    """What `CalibratedClassifierCV` takes as `cv`.

    Fits within a stack see some of its rows: `take` gives the folds of these, each with its own groups. Of a class with
    fewer groups than there are folds, rows are kept apart one by one, as all are where a fold would lack a class.
    """

    def __init__(self, n_splits: int, groups: npt.NDArray[np.int64] | None = None, seed: int | None = None) -> None:
        """Cut a number of folds.

        Args:
            n_splits: at least 2.
            groups: number of each row's group, shape (n,), the same for the same group whatever the order of rows;
                None: rows are kept apart one by one.
            seed: makes the draw repeatable; None: a fixed one.

        """
        self.n_splits, self.groups, self.seed = n_splits, groups, _SEED if seed is None else seed

    def take(self, rows: npt.NDArray[np.int64]) -> "CalibrationFolds":
        """Return the folds of some of the rows, by their numbers."""
        return CalibrationFolds(self.n_splits, None if self.groups is None else self.groups[rows], self.seed)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002 - scikit-learn's
        """Return the number of folds."""
        return self.n_splits

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[Any, Any]]:
        """Yield (training, test) row numbers of each fold.

        Raises:
            ValueError: the groups are of other rows.

        """
        labels = np.asarray(y)
        if self.groups is not None and len(self.groups) != len(labels):
            raise ValueError(
                f"the calibration's groups are of {len(self.groups)} rows, and {len(labels)} are fitted; fit the stack "
                "with genrestack_training.train, or build it without groups"
            )
        # By what rows hold: their places would make another draw of the same table in another order.
        order = np.lexsort([labels, *np.asarray(X).T])
        if self.groups is not None:
            groups = self._groups_of_classes(labels, order)
            folds = list(self._cut(StratifiedGroupKFold).split(np.zeros(len(labels)), labels, groups))
            if all(set(labels[training]) == set(labels) for training, _ in folds):
                yield from folds
                return
        for training, test in self._cut(StratifiedKFold).split(order, labels[order]):
            yield np.sort(order[training]), np.sort(order[test])

    def _cut(self, kind: Any) -> Any:
        return kind(self.n_splits, shuffle=True, random_state=self.seed)

    def _groups_of_classes(self, labels: Any, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the groups, but each row its own where a class has fewer of them than there are folds."""
        if self.groups is None:
            return order
        groups, place = self.groups.copy(), np.argsort(order)
        for label in np.unique(labels):
            of = labels == label
            if len(np.unique(self.groups[of])) < self.n_splits:
                groups[of] = self.groups.max() + 1 + place[of]
        return groups

    def __repr__(self) -> str:
        """Say which folds they are: what kept fits are found by."""
        groups = None if self.groups is None else hashlib.sha256(self.groups.tobytes()).hexdigest()[:16]
        return f"CalibrationFolds({self.n_splits}, groups={groups}, seed={self.seed})"


def folds_of_rows(estimator: Any, rows: npt.NDArray[np.int64] | None) -> Any:
    """Return an unfitted estimator for some of the rows, its calibration's folds those of these; None: all rows."""
    folds = getattr(estimator, "cv", None)
    if rows is not None and isinstance(folds, CalibrationFolds):
        estimator.set_params(cv=folds.take(rows))
    return estimator
