"""Fit and evaluate stacks: the exported model's split, other splits to compare with, folds of a cross-validation."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from genrestack_training.config.settings import Settings
from genrestack_training.data.groups.grouping import Grouping
from genrestack_training.data.missing import check_filled, columns_with_gaps
from genrestack_training.data.splits import (
    Folds,
    Split,
    calibration_groups,
    fold_splits,
    inner_folds,
    make_split,
)
from genrestack_training.data.table import Table
from genrestack_training.data.validation import check_calibration, check_training_side
from genrestack_training.errors import SettingsError, TrainingError
from genrestack_training.evaluation.ablation import meta_rows, metas_without_each
from genrestack_training.evaluation.evaluate import evaluate
from genrestack_training.evaluation.headline import SPLIT_PHRASES
from genrestack_training.evaluation.predictions import HeldOut, Predictions, pool_folds, predict_all
from genrestack_training.evaluation.results import Evaluation
from genrestack_training.fitting import Engine, FitStore, fit_stack
from genrestack_training.fitting.progress import Progress, StagedProgress
from genrestack_training.models.gain import build_gain_step
from genrestack_training.models.stack import Scaler, build_scaler, build_stack

PlannedFit = tuple[Split, Folds | None]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A labelled table with what belongs together in it, and how it is to be fitted."""

    table: Table
    labels: np.ndarray
    grouping: Grouping
    settings: Settings
    seed: int


@dataclass(frozen=True, eq=False)
class FittedSplit:
    """A stack fitted on the training side of a split."""

    split: Split
    stack: StackingClassifier
    scaler: Any
    predictions: Predictions | None
    """Of the held-out rows; None if there are none."""
    seconds: float
    """What the fit took."""
    notes: tuple[str, ...]


def plan_folds(data: TrainingData, split: Split) -> Folds | None:
    """Draw the stack's own folds, so that a training side too small for them is found before anything is fitted.

    Raises:
        TableError, SettingsError: the training side is too small.

    """
    check_training_side(data.labels[split.training], data.labels, data.settings)
    gain, rows = build_gain_step(data.settings, data.table.feature_names), data.table.features[split.training]
    check_filled(rows if gain is None else gain.transform(rows), data.table.feature_names)
    stack = data.settings.stack
    folds = inner_folds(stack.folds_by, split, data.labels, data.grouping, stack.folds, data.seed)
    check_calibration(data.labels[split.training], folds, data.settings)
    return folds


def fit_split(
    data: TrainingData,
    split: Split,
    folds: Folds | None,
    progress: Progress,
    *,
    engine: Engine | None = None,
    jobs: int | None = None,
    store: FitStore | None = None,
) -> FittedSplit:
    """Scale, fit, and predict the held-out rows.

    Args:
        data: the table and the settings.
        split: which rows are fitted.
        folds: what `plan_folds` gave.
        progress: told of every fold and epoch.
        engine: where to fit, as `fit_stack` takes it.
        jobs: fits at once, likewise.
        store: keeps finished fits.

    """
    settings, rows = data.settings, data.table.features
    scaler = fit_scaler(data, split)

    # Fit: every base estimator on all training rows and once a fold, then the meta-learner.
    groups = calibration_groups(settings.stack.folds_by, split, data.grouping)
    stack = build_stack(settings, seed=data.seed, folds=folds, groups=groups)
    begun, predictions = time.monotonic(), None
    with collected_warnings(settings) as notes:
        training, labels = _scaled(scaler, rows[split.training]), data.labels[split.training]
        fits = fit_stack(stack, training, labels, progress=progress, engine=engine, jobs=jobs, store=store)
        seconds = time.monotonic() - begun
        # Predict: with the stack, each base model, and stacks without each of them, the held-out rows.
        if len(split.test):
            reduced = metas_without_each(stack, meta_rows(stack, fits, training, labels), labels)
            predictions = predict_all(stack, _scaled(scaler, rows[split.test]), held_out(data, split.test), reduced)
    return FittedSplit(split, stack, scaler, predictions, seconds, tuple(notes))


def fit_scaler(data: TrainingData, split: Split) -> Scaler | None:
    """Scale: learn the features' ranges from the training rows (or, as the notebook does, from all), gaps filled.

    The gain goes first: a gap is then filled with the median of rows of one loudness.
    """
    settings, rows = data.settings, data.table.features
    steps: dict[str, Any] = {}
    gain = build_gain_step(settings, data.table.feature_names)
    if gain is not None:
        steps["gain"], rows = gain, gain.transform(rows)
    if columns_with_gaps(rows).any():
        # Of the training rows alone, whatever the scaler is fitted on.
        steps["imputer"] = SimpleImputer(strategy="median").fit(rows[split.training])
        rows = steps["imputer"].transform(rows)
    scaler = build_scaler(settings, rows=len(split.training))
    if scaler is not None:
        steps["scaler"] = scaler.fit(rows if settings.scaler.fit_on == "all" else rows[split.training])
    if len(steps) > 1:
        return Pipeline(list(steps.items()))
    return next(iter(steps.values()), None)


def held_out(data: TrainingData, rows: np.ndarray) -> HeldOut:
    """Return labels, groups and recordings of held-out rows, by their numbers."""
    grouping = data.grouping
    groups = grouping.groups(grouping.honest_unit)[rows]
    return HeldOut(rows, data.labels[rows], groups, None if grouping.tracks is None else grouping.tracks[rows])


def _scaled(scaler: Any, rows: np.ndarray) -> np.ndarray:
    return rows if scaler is None else np.asarray(scaler.transform(rows))


@contextmanager
def collected_warnings(settings: Settings) -> Iterator[Sequence[str]]:
    """Collect the warnings that a fit is known to give as plain lines; any other passes through."""
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
            "The metrics are of the model as it is; raise max_iter under [meta] in a settings file.",
        )


@dataclass(frozen=True, eq=False)
class ExperimentPlan:
    """What is to be fitted."""

    main: PlannedFit
    """The exported model."""
    comparisons: tuple[PlannedFit, ...]
    folds: tuple[PlannedFit, ...]
    """Of the cross-validation; the first is `main` itself where that keeps the same whole."""
    notes: tuple[str, ...]

    @property
    def shared(self) -> bool:
        """True if the first fold is the exported model's own split."""
        return bool(self.folds) and np.array_equal(self.folds[0][0].training, self.main[0].training)


@dataclass(frozen=True, eq=False)
class ExperimentResults:
    """What has been fitted, and how good it is."""

    main: FittedSplit
    evaluation: Evaluation | None
    comparisons: tuple[Evaluation, ...]
    cross_validation: Evaluation | None
    predictions: Mapping[str, Predictions]
    """By "evaluation", "track_split", …, "folds"."""
    notes: tuple[str, ...]


def plan_experiments(
    data: TrainingData, split: Split, *, folds: int | None, compare: Sequence[str] | None
) -> ExperimentPlan:
    """Draw every split there will be, so that what cannot be done is known before minutes are spent.

    Args:
        data: the table and the settings.
        split: the exported model's.
        folds: of a cross-validation; None for none.
        compare: names of other splits; None for those that a random split should be seen beside.

    Raises:
        TableError, SettingsError: a split cannot be drawn. One that nobody asked for is left out with a note.

    """
    unit = split.unit if split.unit != "row" else data.grouping.honest_unit
    cut = [] if folds is None else fold_splits(unit, data.labels, data.grouping, folds, data.seed)
    names = (
        _default_comparisons(data, split, unit if cut else None)
        if compare is None
        else _requested_comparisons(compare, split)
    )
    notes, comparisons = [], []
    for name in names:
        try:
            comparisons.append(_planned(data, _comparison_split(data, name)))
        except TrainingError as exc:
            if compare is not None:
                raise
            notes.append(f"There are no metrics {SPLIT_PHRASES[name]} to compare with: {exc}.")
    return ExperimentPlan(
        main=_planned(data, split),
        comparisons=tuple(comparisons),
        folds=tuple(_planned(data, fold) for fold in cut),
        notes=tuple(notes),
    )


def run_experiments(
    data: TrainingData,
    plan: ExperimentPlan,
    progress: Progress,
    *,
    engine: Engine | None = None,
    jobs: int | None = None,
    store: FitStore | None = None,
) -> ExperimentResults:
    """Fit and evaluate everything that was planned.

    Args:
        data: the table and the settings.
        plan: what `plan_experiments` gave.
        progress: told of every fit and epoch of every stack.
        engine: as `fit_stack` takes it.
        jobs: likewise.
        store: likewise.

    """
    rest = plan.folds[1:] if plan.shared else plan.folds
    runner = _ExperimentRunner(data, progress, engine, jobs, store, 1 + len(plan.comparisons) + len(rest))
    main = runner.fit(plan.main, "the exported model")
    compared = [runner.fit(planned, f"split {SPLIT_PHRASES[planned[0].name]}") for planned in plan.comparisons]
    folded = [main] if plan.shared else []
    folded += [runner.fit(planned, f"fold {len(folded) + i} of {len(plan.folds)}") for i, planned in enumerate(rest, 1)]
    groups = {"evaluation": [main]} | {f"{f.split.name}_split": [f] for f in compared} | {"folds": folded}
    with_predictions = {
        key: group for key, group in groups.items() if group and all(f.predictions is not None for f in group)
    }
    predictions = {
        key: pool_folds([f.predictions for f in group if f.predictions is not None])
        for key, group in with_predictions.items()
    }
    evaluations = {key: _evaluate(data, with_predictions[key], predictions[key]) for key in predictions}
    return ExperimentResults(
        main=main,
        evaluation=evaluations.get("evaluation"),
        comparisons=tuple(evaluations[f"{f.split.name}_split"] for f in compared),
        cross_validation=evaluations.get("folds"),
        predictions=predictions,
        notes=tuple(runner.notes),
    )


@dataclass
class _ExperimentRunner:
    """Fits one stack after another and keeps count."""

    data: TrainingData
    progress: Progress
    engine: Engine | None
    jobs: int | None
    store: FitStore | None
    stages: int
    done: int = 0
    begun: float = field(default_factory=time.monotonic)
    notes: dict[str, None] = field(default_factory=dict)

    def fit(self, planned: PlannedFit, title: str) -> FittedSplit:
        self.done += 1
        progress = StagedProgress(self.progress, self.done, self.stages, title, begun=self.begun)
        fitted = fit_split(self.data, *planned, progress, engine=self.engine, jobs=self.jobs, store=self.store)
        self.notes |= dict.fromkeys(fitted.notes)
        return fitted


def _default_comparisons(data: TrainingData, split: Split, covered: str | None) -> list[str]:
    """List the grouped splits that a random one should be compared with, except what the folds cover."""
    known = [("track", data.grouping.windowed), ("artist", data.grouping.artists is not None)]
    return [name for name, there in known if split.name == "random" and there and name != covered]


def _requested_comparisons(compare: Sequence[str], split: Split) -> list[str]:
    known = [name for name in SPLIT_PHRASES if name != "collection"]
    unknown = [name for name in compare if name not in known]
    if unknown:
        raise SettingsError(f"there is no split {unknown[0]!r} to compare with; choose from {', '.join(known)}")
    return [name for name in dict.fromkeys(compare) if name != split.name]


def _comparison_split(data: TrainingData, name: str) -> Split:
    share = data.settings.split.test_share
    return make_split(name, data.table, test_share=share, seed=data.seed, grouping=data.grouping)


def _planned(data: TrainingData, split: Split) -> PlannedFit:
    return split, plan_folds(data, split)


def _evaluate(data: TrainingData, fitted: Sequence[FittedSplit], predictions: Predictions) -> Evaluation:
    return evaluate(
        predictions,
        [f.split for f in fitted],
        interval_unit=data.grouping.honest_unit,
        filenames=data.table.identifiers.get("filename"),
        collections=data.table.collections,
        seconds=sum(f.seconds for f in fitted),
        seed=data.seed,
    )
