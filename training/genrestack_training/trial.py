"""Fit and question one stack on one split: the part of the recipe that is done once, or once a fold."""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import ConvergenceWarning

from genrestack_training.answers import Answers, Held, ask
from genrestack_training.checks import check_calibration, check_training_side
from genrestack_training.fitting import Engine, FitStore, fit_stack
from genrestack_training.folds import Folds
from genrestack_training.grouping import Grouping
from genrestack_training.progress import Progress
from genrestack_training.settings import Settings
from genrestack_training.splits import Split, inner_folds
from genrestack_training.stack import Scaler, build_scaler, build_stack
from genrestack_training.table import Table
from genrestack_training.worth import meta_rows, reduced_metas


@dataclass(frozen=True, eq=False)
class Data:
    """A labelled table with what belongs together in it, and how it is to be fitted."""

    table: Table
    labels: np.ndarray
    grouping: Grouping
    settings: Settings
    seed: int


@dataclass(frozen=True, eq=False)
class Trial:
    """A stack fitted on the training side of a split."""

    split: Split
    stack: StackingClassifier
    scaler: Any
    answers: Answers | None
    """To the rows held back; None if there are none."""
    seconds: float
    """What the fit took."""
    notes: tuple[str, ...]


def plan(data: Data, split: Split) -> Folds | None:
    """Cut the stack's own folds, and so find out before anything is fitted whether that can be done.

    Raises:
        TableError, SettingsError: the training side is too small.

    """
    check_training_side(data.labels[split.training], data.labels, data.settings)
    stack = data.settings.stack
    folds = inner_folds(stack.folds_by, split, data.labels, data.grouping, stack.folds, data.seed)
    check_calibration(data.labels[split.training], folds, data.settings)
    return folds


def fit_split(
    data: Data,
    split: Split,
    folds: Folds | None,
    progress: Progress,
    *,
    engine: Engine | None = None,
    jobs: int | None = None,
    store: FitStore | None = None,
) -> Trial:
    """Scale, fit, and ask about the rows held back.

    Args:
        data: the table and the settings.
        split: which rows are fitted.
        folds: what `plan` gave.
        progress: told of every fold and epoch.
        engine: where to fit, as `fit_stack` takes it.
        jobs: fits at once, likewise.
        store: keeps finished fits.

    """
    settings, rows = data.settings, data.table.features
    scaler = fit_scaler(data, split)

    # Fit: every base estimator on all training rows and once a fold, then the meta-learner.
    stack = build_stack(settings, seed=data.seed, folds=folds)
    begun, answers = time.monotonic(), None
    with noting(settings) as notes:
        training, labels = _scaled(scaler, rows[split.training]), data.labels[split.training]
        fits = fit_stack(stack, training, labels, progress=progress, engine=engine, jobs=jobs, store=store)
        seconds = time.monotonic() - begun
        # Ask: the stack, each base model, and stacks without each of them, about the rows held back.
        if len(split.test):
            reduced = reduced_metas(stack, meta_rows(stack, fits, training, labels), labels)
            answers = ask(stack, _scaled(scaler, rows[split.test]), held(data, split.test), reduced)
    return Trial(split, stack, scaler, answers, seconds, tuple(notes))


def fit_scaler(data: Data, split: Split) -> Scaler | None:
    """Scale: learn the features' ranges from the training rows (or, as the notebook does, from all)."""
    settings, rows = data.settings, data.table.features
    scaler = build_scaler(settings, rows=len(split.training))
    if scaler is not None:
        scaler.fit(rows if settings.scaler.fit_on == "all" else rows[split.training])
    return scaler


def held(data: Data, rows: np.ndarray) -> Held:
    """Give what is known of rows, by their numbers."""
    grouping = data.grouping
    groups = grouping.groups(grouping.honest_unit)[rows]
    return Held(rows, data.labels[rows], groups, None if grouping.tracks is None else grouping.tracks[rows])


def _scaled(scaler: Any, rows: np.ndarray) -> np.ndarray:
    return rows if scaler is None else np.asarray(scaler.transform(rows))


@contextmanager
def noting(settings: Settings) -> Iterator[Sequence[str]]:
    """Turn the warnings that a fit is known to give into plain lines; let any other through."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The `probability` parameter was deprecated", FutureWarning)
        yield notes
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        notes.append(
            f"The meta-learner stopped at its limit of {settings.meta.max_iter} iterations, not yet fully converged. "
            "The figures are of the model as it is; max_iter under [meta] in a settings file lets it go on.",
        )
