"""How good a fitted stack is on rows it has not seen: predictions → metrics with intervals."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from genrestack_training.data.splits import Split
from genrestack_training.evaluation.bootstrap import Resamples, percentile_interval
from genrestack_training.evaluation.metrics import BINS, Sums, class_metrics, compute_metrics, sums_by_group
from genrestack_training.evaluation.predictions import STACK, Predictions, average_by_song, take_rows
from genrestack_training.evaluation.results import (
    Ablation,
    ClassReport,
    CollectionResult,
    ConfusedPair,
    Evaluation,
    Figure,
    MisclassifiedRow,
    ModelMetrics,
    ReliabilityBin,
)

PAIRS, EXAMPLES = 10, 3


class _ScoredPredictions:
    """Predictions of rows or of songs, with their sums and those of resamples, each computed once."""

    def __init__(self, predictions: Predictions, seed: int) -> None:
        names, self._numbers = np.unique(predictions.groups, return_inverse=True)
        self._resamples = Resamples(len(names), seed=seed)
        self._predictions = predictions
        self._cache: dict[str, tuple[Sums, Sums | None]] = {}
        self.groups = len(names)

    def of(self, model: str) -> tuple[Sums, Sums | None]:
        """Return the sums of a model's predictions over all rows, and those of every resample."""
        return self._cached(model, self._predictions.probabilities[model], self._predictions.decisions[model])

    def without(self, model: str) -> tuple[Sums, Sums | None]:
        """Return those of a stack without this base model."""
        probabilities = self._predictions.without[model]
        return self._cached(f"without {model}", probabilities, np.argmax(probabilities, axis=1))

    def _cached(self, key: str, probabilities: np.ndarray, decisions: np.ndarray) -> tuple[Sums, Sums | None]:
        if key not in self._cache:
            parts = sums_by_group(self._predictions.truth, probabilities, decisions, self._numbers, self.groups)
            whole = Sums(parts.confusion.sum(axis=0), parts.losses.sum(axis=0), parts.bins.sum(axis=0))
            self._cache[key] = whole, self._resamples.sums(parts)
        return self._cache[key]


def evaluate(
    predictions: Predictions,
    splits: Sequence[Split],
    *,
    interval_unit: str,
    filenames: np.ndarray | None,
    collections: np.ndarray | None = None,
    seconds: float,
    seed: int,
) -> Evaluation:
    """Compute the metrics of predictions, with intervals.

    Args:
        predictions: of all rows that were held out, fold after fold.
        splits: the folds in that order, or the one split.
        interval_unit: what `predictions.groups` are: a key of `UNITS`.
        filenames: of all rows of the table, to name examples by.
        collections: of all rows of the table; None of a single table.
        seconds: what the fits took.
        seed: makes the resampling repeatable.

    """
    rows, songs = _ScoredPredictions(predictions, seed), average_by_song(predictions)
    whole, resampled = rows.of(STACK)
    scored_songs = None if songs is None else _ScoredPredictions(songs, seed)
    first = splits[0]
    return Evaluation(
        split=first.name,
        unit=first.unit,
        folds=len(splits),
        meaning=first.meaning,
        fitted_rows=round(float(np.mean([len(s.training) for s in splits]))),
        rows=len(predictions.rows),
        songs=None if songs is None else len(songs.rows),
        groups=rows.groups,
        interval_unit=interval_unit,
        models={name: _model(name, rows, scored_songs) for name in predictions.models},
        classes=_classes(predictions.classes, whole, resampled),
        confusion=_to_tuples(whole.confusion),
        song_confusion=None if scored_songs is None else _to_tuples(scored_songs.of(STACK)[0].confusion),
        worth={name: _ablation(name, rows, scored_songs) for name in predictions.without},
        confused=_confused_pairs(predictions, whole.confusion, filenames),
        fold_accuracy=_by_fold(predictions, splits),
        seconds=seconds,
        collections=() if collections is None else tuple(_by_collection(predictions, collections, seed)),
    )


def _by_collection(predictions: Predictions, collections: np.ndarray, seed: int) -> Iterator[CollectionResult]:
    """Yield the stack's metrics on each collection, its groups resampled alone."""
    of_rows = collections[predictions.rows]
    for name in dict.fromkeys(of_rows.tolist()):
        part = take_rows(predictions, of_rows == name)
        songs = average_by_song(part)
        yield CollectionResult(
            name=name,
            rows=len(part.rows),
            songs=None if songs is None else len(songs.rows),
            figures=_with_intervals(*_ScoredPredictions(part, seed).of(STACK)),
            song_figures=None if songs is None else _with_intervals(*_ScoredPredictions(songs, seed).of(STACK)),
        )


def _model(name: str, rows: _ScoredPredictions, songs: _ScoredPredictions | None) -> ModelMetrics:
    whole, resampled = rows.of(name)
    scored_songs = None if songs is None else _with_intervals(*songs.of(name))
    return ModelMetrics(rows=_with_intervals(whole, resampled), songs=scored_songs, reliability=_reliability(whole))


def _with_intervals(whole: Sums, resampled: Sums | None) -> Mapping[str, Figure]:
    spread = None if resampled is None else compute_metrics(resampled)
    return {
        n: percentile_interval(float(v), None if spread is None else spread[n])
        for n, v in compute_metrics(whole).items()
    }


def _reliability(whole: Sums) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin(b / BINS, (b + 1) / BINS, int(n), float(p / n) if n else None, float(right / n) if n else None)
        for b, (n, p, right) in enumerate(whole.bins)
    )


def _classes(labels: Sequence[str], whole: Sums, resampled: Sums | None) -> tuple[ClassReport, ...]:
    values, spread = class_metrics(whole), None if resampled is None else class_metrics(resampled)
    support = whole.confusion.sum(axis=1)

    def figure(name: str, i: int) -> Figure:
        return percentile_interval(float(values[name][i]), None if spread is None else spread[name][:, i])

    return tuple(
        ClassReport(label, figure("precision", i), figure("recall", i), figure("f1", i), int(support[i]))
        for i, label in enumerate(labels)
    )


def _ablation(name: str, rows: _ScoredPredictions, songs: _ScoredPredictions | None) -> Ablation:
    """Compare the stack with a stack without this model, on the same resamples."""
    return Ablation(
        accuracy_without=_with_intervals(*rows.without(name))["accuracy"],
        accuracy_gain=_gain("accuracy", rows, name),
        log_loss_gain=_gain("log_loss", rows, name),
        song_accuracy_gain=None if songs is None else _gain("accuracy", songs, name),
    )


def _gain(figure: str, scored: _ScoredPredictions, name: str) -> Figure:
    (whole, resampled), (less, less_resampled) = scored.of(STACK), scored.without(name)
    value = float(compute_metrics(whole)[figure] - compute_metrics(less)[figure])
    if resampled is None or less_resampled is None:
        return percentile_interval(value, None)
    return percentile_interval(value, compute_metrics(resampled)[figure] - compute_metrics(less_resampled)[figure])


def _confused_pairs(
    predictions: Predictions, confusion: np.ndarray, filenames: np.ndarray | None
) -> tuple[ConfusedPair, ...]:
    wrong = confusion * (1 - np.eye(len(confusion)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(cell), len(confusion)) for cell in order if wrong.flat[cell] > 0]
    return tuple(
        ConfusedPair(
            predictions.classes[true],
            predictions.classes[answer],
            int(wrong[true, answer]),
            _examples(predictions, true, answer, filenames),
        )
        for true, answer in pairs
    )


def _examples(
    predictions: Predictions, true: int, answer: int, filenames: np.ndarray | None
) -> tuple[MisclassifiedRow, ...]:
    rows = np.flatnonzero((predictions.truth == true) & (predictions.decisions[STACK] == answer))
    sure = predictions.probabilities[STACK][rows, answer]
    chosen = rows[np.argsort(-sure, kind="stable")[:EXAMPLES]]
    return tuple(
        MisclassifiedRow(
            row=int(predictions.rows[i]) + 1,
            filename=None if filenames is None else str(filenames[predictions.rows[i]]),
            probability=float(predictions.probabilities[STACK][i, answer]),
        )
        for i in chosen
    )


def _by_fold(predictions: Predictions, splits: Sequence[Split]) -> tuple[float, ...]:
    right = predictions.decisions[STACK] == predictions.truth
    ends = np.cumsum([len(split.test) for split in splits])[:-1]
    return tuple(float(part.mean()) for part in np.split(right, ends))


def _to_tuples(confusion: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in confusion)
