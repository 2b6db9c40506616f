"""Results of an evaluation; what each metric means is in docs/evaluation.md."""

from collections.abc import Mapping
from dataclasses import dataclass

ASKED = "asked"
"""The split of an evaluation that held nothing out: a model was asked about a collection it was not fitted on."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float
    lower: float | None
    """None if there were too few groups to resample."""
    upper: float | None


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: rows whose largest probability lies above `above` and not above `upto`."""

    above: float
    upto: float
    rows: int
    confidence: float | None
    """Mean largest probability; None of an empty bin."""
    accuracy: float | None
    """Share of rows whose most probable class is the true one; None of an empty bin."""


@dataclass(frozen=True)
class ModelMetrics:
    """Metrics of the stack or of a base model."""

    rows: Mapping[str, Figure]
    """By the names of `metrics.METRIC_NAMES`, over rows."""
    songs: Mapping[str, Figure] | None
    """The same over songs, each answered by the mean of its rows' probabilities; None if songs are not known."""
    reliability: tuple[ReliabilityBin, ...]
    """Over rows."""


@dataclass(frozen=True)
class ClassReport:
    """Metrics of one class by the whole stack, over rows; `support` counts its test rows."""

    label: str
    precision: Figure
    recall: Figure
    f1: Figure
    support: int


@dataclass(frozen=True)
class Ablation:
    """What a base model adds to the stack: the stack's metric less that of a stack without it, on the same rows."""

    accuracy_without: Figure
    accuracy_gain: Figure
    """Above 0 if the model helps; its interval is paired."""
    log_loss_gain: Figure
    """Below 0 if the model helps."""
    song_accuracy_gain: Figure | None
    """None if songs are not known."""


@dataclass(frozen=True)
class MisclassifiedRow:
    """A row that was misclassified."""

    row: int
    """Data row of the table, counted from 1."""
    filename: str | None
    probability: float
    """What the stack gave the wrong class."""


@dataclass(frozen=True)
class ConfusedPair:
    """A class that was predicted as another."""

    truth: str
    answer: str
    rows: int
    examples: tuple[MisclassifiedRow, ...]
    """Those with the highest confidence."""


@dataclass(frozen=True)
class CollectionResult:
    """Metrics of the whole stack on the held-out rows of one collection, of several that were trained on together."""

    name: str
    rows: int
    songs: int | None
    figures: Mapping[str, Figure]
    """By the names of `metrics.METRIC_NAMES`, over rows."""
    song_figures: Mapping[str, Figure] | None
    """The same over songs; None if songs are not known."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one way to hold out rows: of the stack and of each base model on rows they had not seen."""

    split: str
    unit: str
    """What was kept whole: "row", "track" or "artist"."""
    folds: int
    """Fits that the predictions come from: 1 if rows were held out once, else the folds of a cross-validation."""
    meaning: str
    fitted_rows: int
    """On average over the folds."""
    rows: int
    songs: int | None
    groups: int
    interval_unit: str
    """What the intervals resample: "row", "track" or "artist", and `groups` of them."""
    models: Mapping[str, ModelMetrics]
    """The stack as "stack", then each base model."""
    classes: tuple[ClassReport, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows of the true class i that the stack predicted as class j, in the order of `classes`."""
    song_confusion: tuple[tuple[int, ...], ...] | None
    worth: Mapping[str, Ablation]
    """By base model; empty if there is one only."""
    confused: tuple[ConfusedPair, ...]
    """The pairs most often confused, most frequent first."""
    fold_accuracy: tuple[float, ...]
    """The stack's accuracy in each fold."""
    seconds: float
    """What the fits took."""
    collections: tuple[CollectionResult, ...] = ()
    """By collection, of those with held-out rows; empty of a single table."""

    @property
    def accuracy(self) -> float:
        """The whole stack's."""
        return self.models["stack"].rows["accuracy"].value

    @property
    def base_accuracy(self) -> Mapping[str, float]:
        """By the estimator's name: the share of rows on which the base model's own `predict` is right."""
        return {name: m.rows["accuracy"].value for name, m in self.models.items() if name != "stack"}

    @property
    def song_accuracy(self) -> float | None:
        """The whole stack's on songs; None if songs are not known."""
        songs = self.models["stack"].songs
        return None if songs is None else songs["accuracy"].value
