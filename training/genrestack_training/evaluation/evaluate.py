"""How good a fitted stack is on rows it has not seen: answers → figures with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np

from genrestack_training.data.splits import Split
from genrestack_training.evaluation.bootstrap import Resamples, interval
from genrestack_training.evaluation.metrics import BINS, Sums, class_figures, measure, sums_by_group
from genrestack_training.evaluation.predictions import STACK, Answers, by_song
from genrestack_training.evaluation.results import (
    Bin,
    ClassReport,
    Confusion,
    Evaluation,
    Example,
    Figure,
    ModelFigures,
    Worth,
)

PAIRS, EXAMPLES = 10, 3


class _Level:
    """Answers to rows or to songs, with their sums and those of resamples, each computed once."""

    def __init__(self, answers: Answers, seed: int) -> None:
        names, self._numbers = np.unique(answers.groups, return_inverse=True)
        self._resamples = Resamples(len(names), seed=seed)
        self._answers = answers
        self._known: dict[str, tuple[Sums, Sums | None]] = {}
        self.groups = len(names)

    def of(self, model: str) -> tuple[Sums, Sums | None]:
        """Give the sums of a model's answers over all rows, and those of every resample."""
        return self._kept(model, self._answers.probabilities[model], self._answers.decisions[model])

    def without(self, model: str) -> tuple[Sums, Sums | None]:
        """Give those of a stack without this base model."""
        probabilities = self._answers.without[model]
        return self._kept(f"without {model}", probabilities, np.argmax(probabilities, axis=1))

    def _kept(self, key: str, probabilities: np.ndarray, decisions: np.ndarray) -> tuple[Sums, Sums | None]:
        if key not in self._known:
            parts = sums_by_group(self._answers.truth, probabilities, decisions, self._numbers, self.groups)
            whole = Sums(parts.confusion.sum(axis=0), parts.losses.sum(axis=0), parts.bins.sum(axis=0))
            self._known[key] = whole, self._resamples.sums(parts)
        return self._known[key]


def evaluate(
    answers: Answers,
    splits: Sequence[Split],
    *,
    interval_unit: str,
    filenames: np.ndarray | None,
    seconds: float,
    seed: int,
) -> Evaluation:
    """Turn answers into figures.

    Args:
        answers: to all rows that were held back, fold after fold.
        splits: the folds in that order, or the one split.
        interval_unit: what `answers.groups` are: a key of `UNITS`.
        filenames: of all rows of the table, to name examples by.
        seconds: what the fits took.
        seed: makes the resampling repeatable.

    """
    rows, songs = _Level(answers, seed), by_song(answers)
    whole, resampled = rows.of(STACK)
    of_songs = None if songs is None else _Level(songs, seed)
    first = splits[0]
    return Evaluation(
        split=first.name,
        unit=first.unit,
        folds=len(splits),
        meaning=first.meaning,
        fitted_rows=round(float(np.mean([len(s.training) for s in splits]))),
        rows=len(answers.rows),
        songs=None if songs is None else len(songs.rows),
        groups=rows.groups,
        interval_unit=interval_unit,
        models={name: _model(name, rows, of_songs) for name in answers.models},
        classes=_classes(answers.classes, whole, resampled),
        confusion=_counts(whole.confusion),
        song_confusion=None if of_songs is None else _counts(of_songs.of(STACK)[0].confusion),
        worth={name: _worth(name, rows, of_songs) for name in answers.without},
        confused=_confused(answers, whole.confusion, filenames),
        fold_accuracy=_by_fold(answers, splits),
        seconds=seconds,
    )


def _model(name: str, rows: _Level, songs: _Level | None) -> ModelFigures:
    whole, resampled = rows.of(name)
    of_songs = None if songs is None else _measured(*songs.of(name))
    return ModelFigures(rows=_measured(whole, resampled), songs=of_songs, reliability=_reliability(whole))


def _measured(whole: Sums, resampled: Sums | None) -> Mapping[str, Figure]:
    spread = None if resampled is None else measure(resampled)
    return {n: interval(float(v), None if spread is None else spread[n]) for n, v in measure(whole).items()}


def _reliability(whole: Sums) -> tuple[Bin, ...]:
    return tuple(
        Bin(b / BINS, (b + 1) / BINS, int(n), float(p / n) if n else None, float(right / n) if n else None)
        for b, (n, p, right) in enumerate(whole.bins)
    )


def _classes(labels: Sequence[str], whole: Sums, resampled: Sums | None) -> tuple[ClassReport, ...]:
    values, spread = class_figures(whole), None if resampled is None else class_figures(resampled)
    support = whole.confusion.sum(axis=1)

    def figure(name: str, i: int) -> Figure:
        return interval(float(values[name][i]), None if spread is None else spread[name][:, i])

    return tuple(
        ClassReport(label, figure("precision", i), figure("recall", i), figure("f1", i), int(support[i]))
        for i, label in enumerate(labels)
    )


def _worth(name: str, rows: _Level, songs: _Level | None) -> Worth:
    """Compare the stack with a stack without this model, on the same resamples."""
    return Worth(
        accuracy_without=_measured(*rows.without(name))["accuracy"],
        accuracy_gain=_gain("accuracy", rows, name),
        log_loss_gain=_gain("log_loss", rows, name),
        song_accuracy_gain=None if songs is None else _gain("accuracy", songs, name),
    )


def _gain(figure: str, level: _Level, name: str) -> Figure:
    (whole, resampled), (less, less_resampled) = level.of(STACK), level.without(name)
    value = float(measure(whole)[figure] - measure(less)[figure])
    if resampled is None or less_resampled is None:
        return interval(value, None)
    return interval(value, measure(resampled)[figure] - measure(less_resampled)[figure])


def _confused(answers: Answers, confusion: np.ndarray, filenames: np.ndarray | None) -> tuple[Confusion, ...]:
    wrong = confusion * (1 - np.eye(len(confusion)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(cell), len(confusion)) for cell in order if wrong.flat[cell] > 0]
    return tuple(
        Confusion(
            answers.classes[true],
            answers.classes[answer],
            int(wrong[true, answer]),
            _examples(answers, true, answer, filenames),
        )
        for true, answer in pairs
    )


def _examples(answers: Answers, true: int, answer: int, filenames: np.ndarray | None) -> tuple[Example, ...]:
    rows = np.flatnonzero((answers.truth == true) & (answers.decisions[STACK] == answer))
    sure = answers.probabilities[STACK][rows, answer]
    chosen = rows[np.argsort(-sure, kind="stable")[:EXAMPLES]]
    return tuple(
        Example(
            row=int(answers.rows[i]) + 1,
            filename=None if filenames is None else str(filenames[answers.rows[i]]),
            probability=float(answers.probabilities[STACK][i, answer]),
        )
        for i in chosen
    )


def _by_fold(answers: Answers, splits: Sequence[Split]) -> tuple[float, ...]:
    right = answers.decisions[STACK] == answers.truth
    ends = np.cumsum([len(split.test) for split in splits])[:-1]
    return tuple(float(part.mean()) for part in np.split(right, ends))


def _counts(confusion: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in confusion)
