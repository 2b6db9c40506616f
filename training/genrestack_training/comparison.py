"""Comparison of two runs, on the rows that both held out in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genrestack_training.data.groups.grouping import UNITS
from genrestack_training.errors import RunError
from genrestack_training.evaluation.bootstrap import Resamples, percentile_interval
from genrestack_training.evaluation.headline import SPLIT_PHRASES
from genrestack_training.evaluation.metrics import METRIC_NAMES, Sums, compute_metrics, sums_by_group
from genrestack_training.evaluation.predictions import STACK, Predictions, average_by_song, take_rows
from genrestack_training.evaluation.results import Evaluation, Figure
from genrestack_training.evaluation.sign_flip import SignFlipTest, sign_flip_test
from genrestack_training.run.run_record import RunRecord
from genrestack_training.run.storage import load_predictions, read_record

_SEED = 42


@dataclass(frozen=True)
class PairedMetric:
    """A figure of both runs on the same rows."""

    first: float
    second: float
    difference: Figure
    """The second's less the first's, with its paired 95 % interval."""


@dataclass(frozen=True)
class PairedResults:
    """Rows, or whole recordings."""

    count: int
    figures: Mapping[str, PairedMetric]
    """Of the whole stacks, by the names of `measures.METRIC_NAMES`."""
    test: SignFlipTest
    """On the accuracy of the whole stacks."""


@dataclass(frozen=True)
class ClassRecalls:
    """A class's recall by both stacks."""

    label: str
    rows: int
    first: float
    second: float


@dataclass(frozen=True)
class SplitComparison:
    """Both runs on the rows that both held out in one way."""

    split: str
    folds: tuple[int, int]
    """Of each run's evaluation; 1 if rows were held out once."""
    unit: str
    """What the intervals and the test take as one: "row", "track" or "artist"."""
    left_out: tuple[int, int]
    """Rows that only the first, or only the second, held out."""
    rows: PairedResults
    songs: PairedResults | None
    """None if recordings are not known, or are single rows."""
    models: Mapping[str, PairedMetric]
    """The accuracy of the stack and of each base model that both have."""
    agreement: tuple[int, int, int, int]
    """Rows that both answer right, only the first, only the second, neither."""
    classes: tuple[ClassRecalls, ...]


@dataclass(frozen=True)
class RunComparison:
    """Two runs, compared split by split."""

    first: RunRecord
    second: RunRecord
    splits: tuple[SplitComparison, ...]
    """The most telling first: by artist, by recording, at random."""
    notes: tuple[str, ...]
    """What could not be compared, and why."""


EvaluatedPredictions = tuple[Evaluation, Predictions]


def compare_runs(first: str | Path, second: str | Path) -> RunComparison:
    """Compare two runs on what both were measured on.

    Args:
        first: a run's folder, or one with several runs in it, of which the latest is taken.
        second: likewise.

    Raises:
        RunError: a folder is not a whole run, or the two runs have no rows in common that can be compared.

    """
    records = read_record(first), read_record(second)
    _check_same_table(*records)
    evaluated = _evaluated(records[0], load_predictions(first)), _evaluated(records[1], load_predictions(second))
    splits, notes = [], []
    for split in ("artist", "track", "random"):
        both = _matching_evaluations(split, evaluated[0], evaluated[1])
        if both is None:
            notes += _one_sided_note(split, evaluated)
            continue
        try:
            splits.append(_compare_split(split, *both))
        except RunError as exc:
            notes.append(str(exc))
    if not splits:
        raise RunError(f"these runs cannot be compared. {' '.join(notes) or 'Neither held out rows.'} {_ADVICE}")
    return RunComparison(*records, tuple(splits), tuple(notes))


_ADVICE = "Train both with the same --split and --seed, and with the same --groups if there are any"


def _check_same_table(first: RunRecord, second: RunRecord) -> None:
    if first.provenance.data_sha256 != second.provenance.data_sha256:
        raise RunError(
            f"the runs were measured on different tables ({first.provenance.data_file} and "
            f"{second.provenance.data_file} differ), so their rows cannot be paired; train both on one table"
        )
    if first.classes != second.classes:
        raise RunError("the runs have different classes, although of one table; train both with the same --label")


def _evaluated(
    record: RunRecord, predictions: Mapping[str, Predictions]
) -> dict[tuple[str, bool], EvaluatedPredictions]:
    """Return what was measured: (split, over folds?) → metrics and predictions."""
    named = [("evaluation", record.evaluation), ("folds", record.cross_validation)]
    named += [(f"{e.split}_split", e) for e in record.comparisons]
    return {(e.split, e.folds > 1): (e, predictions[key]) for key, e in named if e is not None and key in predictions}


def _matching_evaluations(
    split: str,
    first: Mapping[tuple[str, bool], EvaluatedPredictions],
    second: Mapping[tuple[str, bool], EvaluatedPredictions],
) -> tuple[EvaluatedPredictions, EvaluatedPredictions] | None:
    """Choose what to pair: folds with folds, else what was held out once, else the one with the other."""
    for kinds in ((True, True), (False, False), (True, False), (False, True)):
        found = first.get((split, kinds[0])), second.get((split, kinds[1]))
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    return None


def _one_sided_note(split: str, evaluated: tuple[Mapping[tuple[str, bool], EvaluatedPredictions], ...]) -> list[str]:
    has = [any(key[0] == split for key in each) for each in evaluated]
    if not any(has):
        return []
    which = "first" if has[0] else "second"
    return [f"Only the {which} run has metrics of rows held out {SPLIT_PHRASES[split]}."]


def _compare_split(split: str, first: EvaluatedPredictions, second: EvaluatedPredictions) -> SplitComparison:
    a, b, left_out = _common_rows(split, first[1], second[1])
    unit = _common_unit(split, first[0], second[0], a, b)
    a, b = (a, replace(b, groups=a.groups)) if unit == first[0].interval_unit else (replace(a, groups=b.groups), b)
    tracks = a.tracks if a.tracks is not None else b.tracks
    songs = average_by_song(replace(a, tracks=tracks)), average_by_song(replace(b, tracks=tracks))
    several = songs[0] is not None and len(songs[0].rows) < len(a.rows)
    right = a.decisions[STACK] == a.truth, b.decisions[STACK] == b.truth
    return SplitComparison(
        split=split,
        folds=(first[0].folds, second[0].folds),
        unit=unit,
        left_out=left_out,
        rows=_paired_results(a, b),
        songs=_paired_results(songs[0], songs[1])
        if several and songs[0] is not None and songs[1] is not None
        else None,
        models={name: _paired_metrics(a, b, name)["accuracy"] for name in a.models if name in b.models},
        agreement=tuple(int(np.sum((right[0] == x) & (right[1] == y))) for x, y in _BOTH),  # type: ignore[arg-type]  # four
        classes=tuple(
            ClassRecalls(label, int(of.sum()), float(right[0][of].mean()), float(right[1][of].mean()))
            for label, of in ((c, a.truth == i) for i, c in enumerate(a.classes))
            if of.any()
        ),
    )


_BOTH = ((True, True), (True, False), (False, True), (False, False))


def _common_rows(
    split: str, first: Predictions, second: Predictions
) -> tuple[Predictions, Predictions, tuple[int, int]]:
    """Select the rows that both held out, in the order of the table."""
    common, one, other = np.intersect1d(first.rows, second.rows, return_indices=True)
    if not len(common):
        raise RunError(f"No row was held out {SPLIT_PHRASES[split]} by both runs.")
    a, b = (take_rows(replace(each, without={}), rows) for each, rows in ((first, one), (second, other)))
    return a, b, (len(first.rows) - len(common), len(second.rows) - len(common))


def _common_unit(split: str, first: Evaluation, second: Evaluation, a: Predictions, b: Predictions) -> str:
    """Choose the coarser unit of the two; where it is the same, the groups have to be, too."""
    if first.interval_unit != second.interval_unit:
        return max(first.interval_unit, second.interval_unit, key=list(UNITS).index)
    pairs = len(np.unique(np.column_stack([a.groups, b.groups]), axis=0))
    if not pairs == len(np.unique(a.groups)) == len(np.unique(b.groups)):
        raise RunError(
            f"The two runs group the rows held out {SPLIT_PHRASES[split]} into different {UNITS[first.interval_unit]}."
        )
    return first.interval_unit


def _paired_results(a: Predictions, b: Predictions) -> PairedResults:
    numbers = np.unique(a.groups, return_inverse=True)[1]
    gain = (b.decisions[STACK] == b.truth).astype(np.int64) - (a.decisions[STACK] == a.truth)
    by_group = np.zeros(numbers.max() + 1, dtype=np.int64)
    np.add.at(by_group, numbers, gain)
    return PairedResults(len(a.rows), _paired_metrics(a, b, STACK), sign_flip_test(by_group, seed=_SEED))


def _paired_metrics(a: Predictions, b: Predictions, model: str) -> Mapping[str, PairedMetric]:
    """Compare one model's figures, both on the same resamples of groups."""
    numbers = np.unique(a.groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    resamples = Resamples(count, seed=_SEED)
    figures = []
    for predictions in (a, b):
        parts = sums_by_group(
            predictions.truth, predictions.probabilities[model], predictions.decisions[model], numbers, count
        )
        whole = Sums(parts.confusion.sum(axis=0), parts.losses.sum(axis=0), parts.bins.sum(axis=0))
        drawn = resamples.sums(parts)
        figures.append((compute_metrics(whole), None if drawn is None else compute_metrics(drawn)))
    (one, drawn_one), (other, drawn_other) = figures
    found = {}
    for name in METRIC_NAMES:
        spread = None if drawn_one is None or drawn_other is None else drawn_other[name] - drawn_one[name]
        found[name] = PairedMetric(
            float(one[name]), float(other[name]), percentile_interval(float(other[name] - one[name]), spread)
        )
    return found
