"""Fit presets on the outer folds with the product's own code, and keep what they answer."""

import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from genrestack_training import Settings, build_scaler, build_stack, resolve_settings
from genrestack_training.data.groups.grouping import find_grouping
from genrestack_training.data.splits import Split, calibration_groups, inner_folds
from genrestack_training.fitting import FitStore, fit_stack
from genrestack_training.models.gain import build_gain_step
from tools.preset_search.partition import FOLDS, Partition

PRESETS = ("notebook", "best")


def look(partition: Partition, preset: str, cache: Path, seed: int, jobs: int | None = None) -> None:
    """Fit a preset on each outer training side, ask it about the held-out fold, and keep the probabilities.

    A fold whose answers are there already is left alone, and so are the finished fits of one that was interrupted.
    """
    settings = _settings(preset)
    for fold in range(FOLDS):
        file = answers_file(cache, partition.unit, preset, fold)
        if not file.exists():
            begun = time.monotonic()
            store = FitStore(cache / "fits" / f"{preset}-{partition.unit}-{fold}")
            answers = _answers(partition, fold, settings, store, seed, jobs)
            _keep(file, seconds=time.monotonic() - begun, **answers)
            store.remove_used()
            store.folder.rmdir()
            print(f"{partition.unit} {fold} {preset}: {time.monotonic() - begun:.0f} s", flush=True)


def answers_file(cache: Path, unit: str, preset: str, fold: int) -> Path:
    """Name the file that holds a preset's answers: one array `stack` and one of each part, (held-out rows, k)."""
    return cache / "outer" / f"{preset}-{unit}-{fold}.npz"


def _settings(preset: str) -> Settings:
    # The notebook cuts its inner folds without regard to recordings, whatever is kept whole outside.
    inner = {"stack": {"folds_by": "rows"}} if preset == "notebook" else None
    return resolve_settings(preset, overrides=inner)


def _answers(
    partition: Partition, fold: int, settings: Settings, store: FitStore, seed: int, jobs: int | None
) -> dict[str, Any]:
    labels, features = np.asarray(partition.table.labels), partition.table.features
    training, held_back = partition.side(fold), partition.held_back(fold)
    split = Split(partition.unit, training, held_back, "", partition.unit)
    grouping = find_grouping(partition.table)
    folds = inner_folds(settings.stack.folds_by, split, labels, grouping, settings.stack.folds, seed)
    scaler = build_scaler(settings, rows=len(training))
    gain = build_gain_step(settings, partition.table.feature_names)
    features = features if gain is None else gain.transform(features)
    seen, new = features[training], features[held_back]
    if scaler is not None:
        seen, new = scaler.fit_transform(seen), scaler.transform(new)
    groups = calibration_groups(settings.stack.folds_by, split, grouping)
    stack = build_stack(settings, seed=seed, folds=folds, groups=groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The `probability` parameter was deprecated", FutureWarning)
        fits = fit_stack(stack, seen, labels[training], store=store, jobs=jobs)
        answers = {name: part.predict_proba(new) for name, part in stack.named_estimators_.items()}
        if folds is not None:
            out_of_fold = _out_of_fold(fits, folds, list(answers), len(training))
            answers |= _without(stack, out_of_fold, answers, labels[training], (seen, new))
    return {"stack": stack.predict_proba(new), **answers}


def _out_of_fold(fits: Any, folds: Any, names: list[str], rows: int) -> dict[str, Any]:
    """Put together what the meta-learner was fitted on, part by part."""
    whole = {name: np.zeros((rows, fits[name, 1].probabilities.shape[1])) for name in names}
    for name in names:
        for number, (_, here) in enumerate(folds, 1):
            whole[name][here] = fits[name, number].probabilities
    return whole


def _without(stack: Any, seen: dict[str, Any], new: dict[str, Any], labels: Any, rows: Any) -> dict[str, Any]:
    """Fit the meta-learner again without each part; gives `without_<part>`."""
    answers = {}
    for left_out in seen:
        names = [name for name in seen if name != left_out]
        around = [[side] if stack.passthrough else [] for side in rows]
        meta = clone(stack.final_estimator).fit(np.hstack([seen[n] for n in names] + around[0]), labels)
        answers[f"without_{left_out}"] = meta.predict_proba(np.hstack([new[n] for n in names] + around[1]))
    return answers


def _keep(file: Path, **arrays: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"aside-{os.getpid()}-{file.name}")
    np.savez(aside, **arrays)
    aside.replace(file)
