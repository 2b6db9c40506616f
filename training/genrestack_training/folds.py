"""Folds that share no group: what the outer splits and the stack's inner folds are cut with."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from genrestack_common.text import quoted
from genrestack_training.errors import TableError

_NAMED = 5
Folds = list[tuple[np.ndarray, np.ndarray]]
"""(training, test) row numbers, int64, of each fold; every row is in the test side of exactly one."""


def grouped_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int, units: str = "groups") -> Folds:
    """Cut rows into folds that share no group, each class in shares as equal as whole groups allow.

    Args:
        labels: shape (n,).
        groups: number of each row's group, int, shape (n,).
        folds: how many, at least 2.
        seed: makes the draw repeatable.
        units: what messages call the groups.

    Raises:
        TableError: there are fewer groups than folds, or a class comes from so few that a fold's fit would not see it.

    """
    in_all = len(np.unique(groups))
    if in_all < folds:
        raise TableError(
            f"{folds} folds need at least {folds} {units}, and there are {in_all}; add some, or lower folds"
        )
    most = int(np.unique(labels, return_counts=True)[1].max())
    if most < folds:
        raise TableError(f"{folds} folds need a class with as many rows, and none has more than {most}; add rows")
    alone = in_all == len(labels)
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    cut = kind(folds, shuffle=True, random_state=seed).split(labels, labels, None if alone else groups)
    with warnings.catch_warnings():
        # What matters of it is asked below: whether a fold's fit sees every class.
        warnings.filterwarnings("ignore", "The least populated class in y has only", UserWarning)
        sides = [(np.asarray(training), np.asarray(test)) for training, test in cut]
    for training, _ in sides:
        _refuse_lost_classes(labels, groups, training, units)
    return sides


def _refuse_lost_classes(labels: np.ndarray, groups: np.ndarray, training: np.ndarray, units: str) -> None:
    lost = np.setdiff1d(labels, labels[training])
    if len(lost):
        counted = [f"{quoted(label)} ({len(np.unique(groups[labels == label]))})" for label in lost[:_NAMED].tolist()]
        more = f" and {len(lost) - _NAMED} more classes" if len(lost) > _NAMED else ""
        raise TableError(
            f"with {units} kept whole, a fold leaves nothing to fit of: {', '.join(counted)} {units}{more}. Add "
            f"{units} of that class, or leave it out"
        )
