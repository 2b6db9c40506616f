"""Two runs side by side, on the rows that both held back in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genrestack_training.data.grouping import UNITS
from genrestack_training.errors import RunError
from genrestack_training.evaluation.bootstrap import Resamples, interval
from genrestack_training.evaluation.headline import NOUNS
from genrestack_training.evaluation.metrics import NAMES, Sums, measure, sums_by_group
from genrestack_training.evaluation.predictions import STACK, Answers, by_song
from genrestack_training.evaluation.results import Evaluation, Figure
from genrestack_training.evaluation.sign_flip import PairedTest, sign_flip
from genrestack_training.run.run_record import Record
from genrestack_training.run.storage import load_answers, read_record

_SEED = 42


@dataclass(frozen=True)
class Shift:
    """A figure of both runs on the same rows."""

    first: float
    second: float
    difference: Figure
    """The second's less the first's, with its paired 95 % interval."""


@dataclass(frozen=True)
class Level:
    """Rows, or whole recordings."""

    count: int
    figures: Mapping[str, Shift]
    """Of the whole stacks, by the names of `measures.NAMES`."""
    test: PairedTest
    """On the accuracy of the whole stacks."""


@dataclass(frozen=True)
class ClassShift:
    """A class's recall by both stacks."""

    label: str
    rows: int
    first: float
    second: float


@dataclass(frozen=True)
class Pairing:
    """Both runs on the rows that both held back in one way."""

    split: str
    folds: tuple[int, int]
    """Of each run's evaluation; 1 if rows were held back once."""
    unit: str
    """What the intervals and the test take as one: "row", "track" or "artist"."""
    left_out: tuple[int, int]
    """Rows that only the first, or only the second, held back."""
    rows: Level
    songs: Level | None
    """None if recordings are not known, or are single rows."""
    models: Mapping[str, Shift]
    """The accuracy of the stack and of each base model that both have."""
    agreement: tuple[int, int, int, int]
    """Rows that both answer right, only the first, only the second, neither."""
    classes: tuple[ClassShift, ...]


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side."""

    first: Record
    second: Record
    pairings: tuple[Pairing, ...]
    """The most telling first: by artist, by recording, at random."""
    notes: tuple[str, ...]
    """What could not be compared, and why."""


Measured = tuple[Evaluation, Answers]


def compare_runs(first: str | Path, second: str | Path) -> Comparison:
    """Compare two runs on what both were measured on.

    Args:
        first: a run's folder, or one with several runs in it, of which the latest is taken.
        second: likewise.

    Raises:
        RunError: a folder is not a whole run, or the two runs have no rows in common that can be compared.

    """
    records = read_record(first), read_record(second)
    _refuse_other_data(*records)
    measured = _measured(records[0], load_answers(first)), _measured(records[1], load_answers(second))
    pairings, notes = [], []
    for split in ("artist", "track", "random"):
        both = _same_way(split, measured[0], measured[1])
        if both is None:
            notes += _one_sided(split, measured)
            continue
        try:
            pairings.append(_pairing(split, *both))
        except RunError as exc:
            notes.append(str(exc))
    if not pairings:
        raise RunError(f"these runs cannot be compared. {' '.join(notes) or 'Neither held rows back.'} {_ADVICE}")
    return Comparison(*records, tuple(pairings), tuple(notes))


_ADVICE = "Train both with the same --split and --seed, and with the same --groups if there are any"


def _refuse_other_data(first: Record, second: Record) -> None:
    if first.provenance.data_sha256 != second.provenance.data_sha256:
        raise RunError(
            f"the runs were measured on different tables ({first.provenance.data_file} and "
            f"{second.provenance.data_file} differ), so that their rows cannot be paired; train both on one table"
        )
    if first.classes != second.classes:
        raise RunError("the runs tell different classes apart, although of one table; train both with the same --label")


def _measured(record: Record, answers: Mapping[str, Answers]) -> dict[tuple[str, bool], Measured]:
    """Give what was measured: (split, over folds?) → figures and answers."""
    named = [("evaluation", record.evaluation), ("folds", record.cross_validation)]
    named += [(f"{e.split}_split", e) for e in record.comparisons]
    return {(e.split, e.folds > 1): (e, answers[key]) for key, e in named if e is not None and key in answers}


def _same_way(
    split: str, first: Mapping[tuple[str, bool], Measured], second: Mapping[tuple[str, bool], Measured]
) -> tuple[Measured, Measured] | None:
    """Choose what to pair: folds with folds, else what was held back once, else the one with the other."""
    for kinds in ((True, True), (False, False), (True, False), (False, True)):
        found = first.get((split, kinds[0])), second.get((split, kinds[1]))
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    return None


def _one_sided(split: str, measured: tuple[Mapping[tuple[str, bool], Measured], ...]) -> list[str]:
    has = [any(key[0] == split for key in each) for each in measured]
    if not any(has):
        return []
    which = "first" if has[0] else "second"
    return [f"Only the {which} run has figures of rows held back {NOUNS[split]}."]


def _pairing(split: str, first: Measured, second: Measured) -> Pairing:
    a, b, left_out = _common(split, first[1], second[1])
    unit = _share_groups(split, first[0], second[0], a, b)
    a, b = (a, replace(b, groups=a.groups)) if unit == first[0].interval_unit else (replace(a, groups=b.groups), b)
    tracks = a.tracks if a.tracks is not None else b.tracks
    songs = by_song(replace(a, tracks=tracks)), by_song(replace(b, tracks=tracks))
    several = songs[0] is not None and len(songs[0].rows) < len(a.rows)
    right = a.decisions[STACK] == a.truth, b.decisions[STACK] == b.truth
    return Pairing(
        split=split,
        folds=(first[0].folds, second[0].folds),
        unit=unit,
        left_out=left_out,
        rows=_level(a, b),
        songs=_level(songs[0], songs[1]) if several and songs[0] is not None and songs[1] is not None else None,
        models={name: _shifts(a, b, name)["accuracy"] for name in a.models if name in b.models},
        agreement=tuple(int(np.sum((right[0] == x) & (right[1] == y))) for x, y in _BOTH),  # type: ignore[arg-type]  # four
        classes=tuple(
            ClassShift(label, int(of.sum()), float(right[0][of].mean()), float(right[1][of].mean()))
            for label, of in ((c, a.truth == i) for i, c in enumerate(a.classes))
            if of.any()
        ),
    )


_BOTH = ((True, True), (True, False), (False, True), (False, False))


def _common(split: str, first: Answers, second: Answers) -> tuple[Answers, Answers, tuple[int, int]]:
    """Take the rows that both held back, in the order of the table."""
    common, one, other = np.intersect1d(first.rows, second.rows, return_indices=True)
    if not len(common):
        raise RunError(f"No row was held back {NOUNS[split]} by both runs.")
    a, b = _taken(first, one), _taken(second, other)
    return a, b, (len(first.rows) - len(common), len(second.rows) - len(common))


def _taken(answers: Answers, which: np.ndarray) -> Answers:
    def each(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: value[which] for name, value in values.items()}

    return Answers(
        classes=answers.classes,
        rows=answers.rows[which],
        truth=answers.truth[which],
        groups=answers.groups[which],
        tracks=None if answers.tracks is None else answers.tracks[which],
        probabilities=each(answers.probabilities),
        decisions=each(answers.decisions),
        without={},
    )


def _share_groups(split: str, first: Evaluation, second: Evaluation, a: Answers, b: Answers) -> str:
    """Choose the coarser unit of the two; where it is the same, the groups have to be, too."""
    if first.interval_unit != second.interval_unit:
        return max(first.interval_unit, second.interval_unit, key=list(UNITS).index)
    pairs = len(np.unique(np.column_stack([a.groups, b.groups]), axis=0))
    if not pairs == len(np.unique(a.groups)) == len(np.unique(b.groups)):
        raise RunError(
            f"Rows held back {NOUNS[split]} are put into different {UNITS[first.interval_unit]} by the two runs."
        )
    return first.interval_unit


def _level(a: Answers, b: Answers) -> Level:
    numbers = np.unique(a.groups, return_inverse=True)[1]
    gain = (b.decisions[STACK] == b.truth).astype(np.int64) - (a.decisions[STACK] == a.truth)
    by_group = np.zeros(numbers.max() + 1, dtype=np.int64)
    np.add.at(by_group, numbers, gain)
    return Level(len(a.rows), _shifts(a, b, STACK), sign_flip(by_group, seed=_SEED))


def _shifts(a: Answers, b: Answers, model: str) -> Mapping[str, Shift]:
    """Compare one model's figures, both on the same resamples of groups."""
    numbers = np.unique(a.groups, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    resamples = Resamples(count, seed=_SEED)
    figures = []
    for answers in (a, b):
        parts = sums_by_group(answers.truth, answers.probabilities[model], answers.decisions[model], numbers, count)
        whole = Sums(parts.confusion.sum(axis=0), parts.losses.sum(axis=0), parts.bins.sum(axis=0))
        drawn = resamples.sums(parts)
        figures.append((measure(whole), None if drawn is None else measure(drawn)))
    (one, drawn_one), (other, drawn_other) = figures
    found = {}
    for name in NAMES:
        spread = None if drawn_one is None or drawn_other is None else drawn_other[name] - drawn_one[name]
        found[name] = Shift(float(one[name]), float(other[name]), interval(float(other[name] - one[name]), spread))
    return found
