"""Can this table be trained with these settings? Asked before minutes are spent."""

from collections import Counter

import numpy as np
from sklearn.model_selection import StratifiedKFold

from genrestack_common.text import listed, quoted
from genrestack_training.config.settings import Settings
from genrestack_training.data.splits import Folds
from genrestack_training.data.table import Table
from genrestack_training.errors import SettingsError, TableError


def check_table(table: Table, settings: Settings) -> np.ndarray:
    """Return the table's labels if there are at least two classes, each with a row for every fold.

    Raises:
        TableError: the table has no labels, one class only, or a class with fewer rows than there are folds.

    """
    if table.labels is None:
        raise TableError(f"{table.path} has no labels; name its label column with --label")
    classes = np.unique(table.labels)
    if len(classes) < 2:
        raise TableError(
            f"{table.path}: every row has the label {quoted(classes[0])}; a classifier needs at least two classes; "
            "add rows of another"
        )
    try:
        _check_folds(table.labels, classes, settings, "")
    except TableError as exc:
        raise TableError(f"{table.path}: {exc}") from None
    return table.labels


def check_training_side(training: np.ndarray, everything: np.ndarray, settings: Settings) -> None:
    """Check what a split has left: every fold must hold every class and enough neighbours.

    Args:
        training: labels of the rows to be fitted, str, shape (m,).
        everything: labels of all rows, str, shape (n,).
        settings: number of folds and of neighbours.

    Raises:
        TableError: a class has fewer rows than there are folds.
        SettingsError: more neighbours than rows in a fold's training side.

    """
    _check_folds(training, np.unique(everything), settings, " left to fit after the split")
    fewest = len(training) - -(-len(training) // settings.stack.folds)
    if "knn" in settings.stack.estimators and settings.knn.n_neighbors > fewest:
        raise SettingsError(
            f"[knn] n_neighbors is {settings.knn.n_neighbors}, and a fold is fitted on {fewest} rows only; lower it",
        )


def check_calibration(training: np.ndarray, folds: Folds | None, settings: Settings) -> None:
    """Check that every fit of a calibrated SVC has a row of each class for each of its own folds.

    Args:
        training: labels of the rows to be fitted, str, shape (m,).
        folds: the stack's own folds, as numbers of those rows; None if it cuts them by class alone.
        settings: whether the SVC is calibrated, and in how many folds.

    Raises:
        SettingsError: some fit would have too few.

    """
    if "svc" not in settings.stack.estimators or settings.svc.calibration not in {"sigmoid", "temperature"}:
        return
    needed, classes = settings.svc.calibration_folds, np.unique(training)
    cut = folds or [(rest, here) for rest, here in StratifiedKFold(settings.stack.folds).split(training, training)]
    for rest, _ in cut:
        counts = Counter(training[rest].tolist())
        few = [f"{quoted(label)} ({counts[label]})" for label in classes.tolist() if counts[label] < needed]
        if few:
            raise SettingsError(
                f"[svc] calibration_folds is {needed}, and a fold leaves fewer rows to fit of: {listed(few, 5)}; lower "
                'it, add rows, or set calibration = "libsvm"'
            )


def _check_folds(labels: np.ndarray, classes: np.ndarray, settings: Settings, where: str) -> None:
    folds, counts = settings.stack.folds, Counter(labels.tolist())
    few = [f"{quoted(label)} ({counts[label]})" for label in classes.tolist() if counts[label] < folds]
    if few:
        raise TableError(
            f"{folds} folds need at least {folds} rows of each class, and fewer are there{where} of: {listed(few, 5)}. "
            "Add rows, leave the class out, or lower folds under [stack] in a settings file",
        )


def check_seed(seed: int) -> None:
    """Check that every library takes the seed.

    Raises:
        SettingsError: it is negative or does not fit in 32 bits.

    """
    if not 0 <= seed < 2**32:
        raise SettingsError(f"the seed is {seed}; choose a whole number from 0 to {2**32 - 1}")


def check_folds(folds: int | None) -> None:
    """Check a number of folds of a cross-validation.

    Raises:
        SettingsError: there are fewer than two.

    """
    if folds is not None and folds < 2:
        raise SettingsError(f"a cross-validation over {folds} folds holds nothing back; choose 2 or more")
