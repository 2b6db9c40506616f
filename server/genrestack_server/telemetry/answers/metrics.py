"""Metrics of what models answer: classes, confidence, rows unlike the training rows, drift. No row is told."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from genrestack_proto.v1.model_pb2 import Model
from genrestack_server.telemetry.answers.columns import ColumnBuffer
from genrestack_server.telemetry.answers.drift import DriftWindow
from genrestack_server.telemetry.answers.training_rows import TrainingRows
from genrestack_server.telemetry.observer import Version

if TYPE_CHECKING:
    from genrestack_bundle import Answer
    from genrestack_proto.matrix import FloatMatrix

MOST_CLASSES: Final = 100
"""Classes of a version with a series of their own; those behind them share one of an empty name."""
WORST: Final = 5
"""Features whose drift is named."""
_CONFIDENCE: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
# Numbers of rows and answers that wait to be counted before the thread is woken: a thousand rows of a hundred.
_WAKE: Final = 2**17
# Once this many wait, the caller that adds to them counts: memory is bounded even where the thread does not keep up.
_MOST_WAITING: Final = 2**21
_VERSION: Final = ("model", "version")

_Title = tuple[str, str]
_S = TypeVar("_S", bound=np.generic)


class _Batch(NamedTuple):
    """What waits to be counted."""

    counts: "_Counts"
    rows: "FloatMatrix"
    classes: npt.NDArray[np.int64]
    probabilities: "FloatMatrix"
    novelty: npt.NDArray[np.float64] | None


class AnswerMetrics(Collector):
    """Counts answers in a thread of its own, or in that of a reader; adding a batch only queues it.

    `add`, `loaded`, `unloaded` and `forget` belong to one event loop; `collect` may be called from any thread.
    """

    def __init__(self) -> None:
        self._versions: dict[_Title, _Counts] = {}
        self._batches: deque[_Batch] = deque()
        self._waiting = 0
        self._counting = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="genrestack-answers")
        self._latest: Future[None] | None = None

    def add(self, served: Version, rows: "FloatMatrix", answer: "Answer") -> None:
        """Queue a batch to be counted."""
        counts = self._versions.get((served.name, str(served.version)))
        # What a version answered that was replaced meanwhile may have other features and classes.
        if counts is None or counts.model is not served.model:
            return
        novelty = None if answer.neighbors is None else answer.neighbors.novelty
        self._batches.append(_Batch(counts, rows, answer.class_index, answer.probabilities, novelty))
        self._waiting += rows.size + answer.probabilities.size
        if self._waiting < _WAKE:
            return
        if self._latest is None or self._latest.done():
            self._latest = self._thread.submit(self._count)
        elif self._waiting >= _MOST_WAITING:
            self._count()
        else:
            return
        self._waiting = 0

    def loaded(self, served: Version) -> None:
        """Begin to count a version; one of the same number goes on where its counts are of the same classes."""
        title = (served.name, str(served.version))
        known = self._versions.get(title)
        if known is not None:
            self._count()
        self._versions[title] = _Counts(served.model, known)

    def unloaded(self, title: _Title) -> None:
        """Tell no more of a version's drift; what was counted stays."""
        if title in self._versions:
            self._versions[title].drift = None

    def forget(self, title: _Title) -> None:
        """Drop a version's counts."""
        self._versions.pop(title, None)

    def close(self) -> None:
        """End the thread; what waits is counted by the next reader."""
        self._thread.shutdown()

    def collect(self) -> Iterator[Metric]:
        """Count what waits, and return the families."""
        self._count()
        with self._counting:
            families = list(_families(list(self._versions.items())))
        yield from families

    def _count(self) -> None:
        with self._counting:
            together: dict[_Counts, list[_Batch]] = {}
            for batch in _taken(self._batches):
                together.setdefault(batch.counts, []).append(batch)
            for counts, batches in together.items():
                counts.add(batches)


@dataclass
class _Totals:
    """What only grows."""

    by_class: npt.NDArray[np.int64]
    by_confidence: npt.NDArray[np.int64]
    confidence: float = 0.0
    """Sum of the largest probabilities."""
    outside: int = 0
    missing: int = 0
    compared: int = 0
    """Rows whose novelty was computed."""
    novel: int = 0


class _Counts:
    """What one version answered."""

    def __init__(self, model: Model, before: "_Counts | None") -> None:
        self.model = model
        self.classes = list(model.classes)
        self.drift: DriftWindow | None = None
        self._training = TrainingRows(model)
        self._columns = ColumnBuffer(len(model.features), len(model.classes))
        if self._training.measured.any():
            self.drift = DriftWindow(self._training)
        self._may_miss = any(feature.accepts_missing for feature in model.features)
        self._threshold = model.novelty.threshold if model.HasField("novelty") else np.inf
        self.totals: _Totals
        if before is not None and before.classes == self.classes:
            self.totals = before.totals
        else:
            self.totals = _Totals(np.zeros(len(self.classes), np.int64), np.zeros(len(_CONFIDENCE) + 1, np.int64))

    def add(self, batches: Sequence[_Batch]) -> None:
        """Count batches of this version."""
        for group in _grouped(batches, self._columns.most):
            self._add(group)
        for novelty in (batch.novelty for batch in batches if batch.novelty is not None):
            self.totals.compared += len(novelty)
            self.totals.novel += int(np.count_nonzero(novelty > self._threshold))

    def _add(self, batches: Sequence[_Batch]) -> None:
        totals, columns = self.totals, self._columns
        classes = _joined([batch.classes for batch in batches])
        # On their side, as rows of a few columns are slow to reduce.
        confidence = _joined([batch.probabilities for batch in batches]).T.copy().max(axis=0).astype(np.float64)
        columns.fill(batch.rows for batch in batches)
        finite = np.isfinite(confidence)
        if not finite.all():
            # Rows so far out that the model has no answer to them are refused.
            columns.values[:, ~finite] = np.nan
            classes, confidence = classes[finite], confidence[finite]
        totals.by_class += np.bincount(classes, minlength=len(totals.by_class))
        places = np.searchsorted(_CONFIDENCE, confidence)
        totals.by_confidence += np.bincount(places, minlength=len(totals.by_confidence))
        totals.confidence += float(confidence.sum())
        if self._may_miss:
            totals.missing += len(confidence) * len(columns.values) - int(columns.present().sum())
        self._training.divide_gain(columns)
        totals.outside += self._training.outside(columns)
        # It may be taken away meanwhile.
        if (drift := self.drift) is not None:
            drift.add(columns, len(confidence))


def _taken(batches: deque[_Batch]) -> Iterator[_Batch]:
    """Remove and yield what is queued; more may be added meanwhile."""
    for _ in range(len(batches)):
        yield batches.popleft()


def _grouped(batches: Sequence[_Batch], most: int) -> Iterator[list[_Batch]]:
    """Put batches together, and take them apart, to groups of at most `most` rows; their novelty is left out."""
    group: list[_Batch] = []
    room = most
    for counts, rows, classes, probabilities, _ in batches:
        start = 0
        while start < len(rows):
            part = slice(start, start + room)
            group.append(_Batch(counts, rows[part], classes[part], probabilities[part], None))
            taken = len(group[-1].rows)
            start, room = start + taken, room - taken
            if not room:
                yield group
                group, room = [], most
    if group:
        yield group


def _joined(parts: "list[npt.NDArray[_S]]") -> "npt.NDArray[_S]":
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _families(versions: list[tuple[_Title, _Counts]]) -> Iterator[Metric]:
    classes = CounterMetricFamily("genrestack_predictions", "Rows by predicted class.", labels=(*_VERSION, "class"))
    confidence = HistogramMetricFamily(
        "genrestack_top_probability", "Largest probability of a row: that of the predicted class.", labels=_VERSION
    )
    rows = {
        "out_of_range_rows": "Rows with a feature outside the range of the training rows.",
        "missing_values": "Values that rows lacked, where the model accepts that.",
        "novelty_rows": "Rows whose novelty was computed.",
        "novel_rows": "Of these, rows above the model's threshold of novelty.",
    }
    counters = {name: CounterMetricFamily(f"genrestack_{name}", text, labels=_VERSION) for name, text in rows.items()}
    window = GaugeMetricFamily(
        "genrestack_drift_window_rows", "Latest rows, whose drift from the training rows is measured.", labels=_VERSION
    )
    worst = GaugeMetricFamily(
        "genrestack_drift_psi",
        "Population stability index of the features of most drift.",
        labels=(*_VERSION, "feature"),
    )
    largest = GaugeMetricFamily("genrestack_drift_largest_psi", "The largest of all features.", labels=_VERSION)
    for title, counts in versions:
        totals = counts.totals
        for name, number in _by_class(counts).items():
            classes.add_metric((*title, name), number)
        confidence.add_metric(title, _cumulative(totals.by_confidence), totals.confidence)
        told = (totals.outside, totals.missing, totals.compared, totals.novel)
        for family, number in zip(counters.values(), told, strict=True):
            family.add_metric(title, number)
        if (drift := counts.drift) is None:
            continue
        window.add_metric(title, drift.rows)
        found = drift.worst(WORST)
        for feature, psi in found:
            worst.add_metric((*title, feature), psi)
        if found:
            largest.add_metric(title, found[0][1])
    yield from (classes, confidence, *counters.values(), window, worst, largest)


def _by_class(counts: _Counts) -> dict[str, int]:
    numbers = counts.totals.by_class.tolist()
    told = dict(zip(counts.classes[:MOST_CLASSES], numbers, strict=False))
    if rest := numbers[MOST_CLASSES:]:
        told[""] = told.get("", 0) + sum(rest)
    return told


def _cumulative(numbers: npt.NDArray[np.int64]) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, _CONFIDENCE), "+Inf"]
    return list(zip(bounds, np.cumsum(numbers).astype(np.float64).tolist(), strict=True))
