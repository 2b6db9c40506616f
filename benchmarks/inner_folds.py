"""Settings fitted on the search's inner folds with the product's own code, so that no outer fold has a say.

The sides and folds are those of tools/search_preset.py: the training side of outer fold 0, whose other four folds take
turns. Each stack is fitted on three of them and asked about the fourth. What is fitted is kept in benchmarks/.cache.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import joblib
import numpy as np
import numpy.typing as npt

from benchmarks.contestants.prepared import CACHE, REAL_TABLE
from genrestack_training import Settings, find_grouping, read_groups
from genrestack_training.data.splits import Split
from genrestack_training.experiments import TrainingData, fit_split, plan_folds
from genrestack_training.fitting import FitStore
from genrestack_training.fitting.progress import NullProgress
from genrestack_training.fitting.store import library_versions
from tools.preset_search.partition import FOLDS, Partition, read_partition
from tools.preset_search.telling import Counts, Figure, figures

SEED: Final = 42
ARTISTS: Final = REAL_TABLE.parent / "gtzan_artist_groups.csv"
SIDE: Final = 0
"""The outer fold whose training side is worked on."""
_REVISION: Final = 2

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InnerFit:
    """A stack that has not seen one inner fold."""

    scaler: Any
    stack: Any
    held: npt.NDArray[np.int64]
    """Numbers of the fold's rows in the table."""

    def answers(self, rows: Rows) -> Rows:
        """Answer raw rows, shape (n, f) → (n, k)."""
        return np.asarray(self.stack.predict_proba(self.scaler.transform(rows)))


def partition(table: Path, artists: Path, unit: str) -> Partition:
    """Read the table as the search does."""
    return read_partition(table, artists, unit, SEED)


def inner_fits(cut: Partition, artists: Path, settings: Settings, jobs: int | None) -> Iterator[InnerFit]:
    """Yield a fit for each inner fold, made once and kept."""
    grouping = find_grouping(cut.table, read_groups(artists))
    data = TrainingData(cut.table, np.asarray(cut.table.labels), grouping, settings, SEED)
    for fold in range(FOLDS):
        if fold == SIDE:
            continue
        training, held = np.flatnonzero(~np.isin(cut.folds, (SIDE, fold))), cut.held_back(fold)
        said = repr((_REVISION, cut.unit, fold, settings, library_versions(), cut.table.sha256))
        kept = CACHE / "inner" / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.joblib"
        if not kept.exists():
            click.echo(f"fitting: {cut.unit}, inner fold {fold} …", err=True)
            split = Split(cut.unit, training, held, "", cut.unit)
            store = FitStore(_private(CACHE / "fits"))
            fitted = fit_split(data, split, plan_folds(data, split), NullProgress(), jobs=jobs, store=store)
            kept.parent.mkdir(parents=True, exist_ok=True)
            aside = kept.with_name(f"aside-{os.getpid()}-{kept.name}")
            joblib.dump((fitted.scaler, fitted.stack), aside)
            aside.replace(kept)
        scaler, stack = joblib.load(kept)
        yield InnerFit(scaler, stack, held)


def counts(cut: Partition, held: npt.NDArray[np.int64], answers: Rows, level: str) -> Counts:
    """Count what is right in each group of held-out rows, by "windows" or by "songs"."""
    codes, tracks, groups = cut.codes[held], cut.tracks[held], cut.groups[held]
    if level == "songs":
        _, first, place = np.unique(tracks, return_index=True, return_inverse=True)
        sums = np.zeros((len(first), answers.shape[1]))
        np.add.at(sums, place, answers)
        answers, codes, groups = sums, codes[first], groups[first]
    where = np.unique(groups, return_inverse=True)[1]
    return Counts(np.bincount(where, weights=answers.argmax(axis=1) == codes), np.bincount(where))


def difference(ours: Sequence[Counts], theirs: Sequence[Counts]) -> tuple[Figure, Figure]:
    """Return our mean accuracy over the folds and how much it is above theirs, with 95 % intervals over groups."""
    accuracy, above = figures(ours, [theirs], SEED)
    return accuracy, above


def _private(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder
