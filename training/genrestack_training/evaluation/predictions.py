"""Predictions of a stack and its parts on held-out rows: all that metrics are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier

STACK = "stack"
"""How the whole stack is named among the models."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions of n rows, or of n songs, by every model, with the true classes."""

    classes: tuple[str, ...]
    rows: np.ndarray
    """int64, shape (n,): their numbers in the table; a song's is its first row's."""
    truth: np.ndarray
    """int64, shape (n,): true class, as its place in `classes`."""
    groups: np.ndarray
    """int64, shape (n,): numbers of the groups that intervals are resampled over."""
    tracks: np.ndarray | None
    """str, shape (n,): the recordings; None if nobody knows."""
    probabilities: Mapping[str, np.ndarray]
    """Model → float64, shape (n, k); `STACK` and each base model."""
    decisions: Mapping[str, np.ndarray]
    """Model → int64, shape (n,): what its own `predict` returns, which need not be the most probable class."""
    without: Mapping[str, np.ndarray]
    """Base model → float64, shape (n, k): what a stack without it answers; empty if there is one only."""

    @property
    def models(self) -> tuple[str, ...]:
        """The stack, then the base models in their order."""
        return tuple(self.probabilities)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows that were held out."""

    rows: np.ndarray
    """int64, shape (n,): numbers in the table."""
    labels: np.ndarray
    groups: np.ndarray
    tracks: np.ndarray | None


def predict_all(
    stack: StackingClassifier, scaled: np.ndarray, held_out: HeldOut, reduced: Mapping[str, tuple[Any, np.ndarray]]
) -> Predictions:
    """Predict the held-out rows with a fitted stack and each of its parts.

    Args:
        stack: its parts give probabilities.
        scaled: the rows as the stack takes them, float64, shape (n, f).
        held_out: what is known of them; every label is one of the stack's classes.
        reduced: base model → the meta-learner of a stack without it, and the columns that it takes.

    """
    columns = stack.transform(scaled)
    names = [name for name, _ in stack.estimators]
    probabilities = {STACK: stack.final_estimator_.predict_proba(columns)}
    probabilities |= dict(zip(names, base_probabilities(columns, len(names), len(stack.classes_)), strict=True))
    decisions = {STACK: np.argmax(probabilities[STACK], axis=1)}
    # Base models are fitted on the classes' numbers.
    decisions |= {
        n: np.asarray(e.predict(scaled), dtype=np.int64) for n, e in zip(names, stack.estimators_, strict=True)
    }
    return Predictions(
        classes=tuple(str(c) for c in stack.classes_),
        rows=held_out.rows,
        truth=np.searchsorted(stack.classes_, held_out.labels),
        groups=held_out.groups,
        tracks=held_out.tracks,
        probabilities=probabilities,
        decisions=decisions,
        without={name: meta.predict_proba(columns[:, taken]) for name, (meta, taken) in reduced.items()},
    )


def base_probabilities(columns: np.ndarray, models: int, classes: int) -> list[np.ndarray]:
    """Extract the base models' probabilities, each float64 of shape (n, k), from a meta-learner's columns."""
    width = meta_width(classes)
    parts = [columns[:, i * width : (i + 1) * width].astype(np.float64) for i in range(models)]
    return [np.column_stack([1 - p, p]) if width == 1 else p for p in parts]


def meta_width(classes: int) -> int:
    """Return the number of meta-learner columns of a base model: of two classes, a stack drops the first."""
    return 1 if classes == 2 else classes


def average_by_song(predictions: Predictions) -> Predictions | None:
    """Average predictions over whole songs: the mean of their rows' probabilities, and its most probable class.

    Rows of one recording with two labels count as two songs. None if it is not known which rows are of one recording.
    """
    if predictions.tracks is None:
        return None
    songs = np.unique(
        np.column_stack([predictions.tracks, predictions.truth.astype(str)]), axis=0, return_inverse=True
    )[1]
    songs = songs.reshape(-1)
    first = np.unique(songs, return_index=True)[1]
    counts = np.bincount(songs)[:, None]

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(counts), values.shape[1]))
        np.add.at(sums, songs, values)
        return np.asarray(sums / counts)

    probabilities = {name: mean(values) for name, values in predictions.probabilities.items()}
    return Predictions(
        classes=predictions.classes,
        rows=predictions.rows[first],
        truth=predictions.truth[first],
        groups=predictions.groups[first],
        tracks=predictions.tracks[first],
        probabilities=probabilities,
        decisions={name: np.argmax(values, axis=1) for name, values in probabilities.items()},
        without={name: mean(values) for name, values in predictions.without.items()},
    )


def take_rows(predictions: Predictions, taken: np.ndarray) -> Predictions:
    """Return the predictions of some rows: bool, shape (n,), or their numbers."""

    def of(which: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: values[taken] for name, values in which.items()}

    return Predictions(
        classes=predictions.classes,
        rows=predictions.rows[taken],
        truth=predictions.truth[taken],
        groups=predictions.groups[taken],
        tracks=None if predictions.tracks is None else predictions.tracks[taken],
        probabilities=of(predictions.probabilities),
        decisions=of(predictions.decisions),
        without=of(predictions.without),
    )


def pool_folds(parts: Sequence[Predictions]) -> Predictions:
    """Concatenate the predictions of several folds."""
    first = parts[0]

    def joined(which: str) -> dict[str, np.ndarray]:
        return {name: np.concatenate([getattr(p, which)[name] for p in parts]) for name in getattr(first, which)}

    return Predictions(
        classes=first.classes,
        rows=np.concatenate([p.rows for p in parts]),
        truth=np.concatenate([p.truth for p in parts]),
        groups=np.concatenate([p.groups for p in parts]),
        tracks=None if first.tracks is None else np.concatenate([p.tracks for p in parts if p.tracks is not None]),
        probabilities=joined("probabilities"),
        decisions=joined("decisions"),
        without=joined("without"),
    )


def to_arrays(predictions: Mapping[str, Predictions]) -> dict[str, np.ndarray]:
    """Convert predictions to named arrays that a file without pickles can hold; probabilities as float32."""
    arrays: dict[str, np.ndarray] = {}
    for key, a in predictions.items():
        arrays |= {f"{key}/classes": np.array(a.classes), f"{key}/rows": a.rows, f"{key}/truth": a.truth}
        arrays |= {f"{key}/groups": a.groups} | ({} if a.tracks is None else {f"{key}/tracks": a.tracks})
        for which in _BY_MODEL:
            kind = np.int64 if which == "decisions" else np.float32
            arrays |= {f"{key}/{which}/{m}": v.astype(kind) for m, v in getattr(a, which).items()}
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Predictions]:
    """Reverse `to_arrays`."""
    return {key: _from_arrays(key, arrays) for key in dict.fromkeys(name.split("/")[0] for name in arrays)}


_BY_MODEL = ("probabilities", "decisions", "without")


def _from_arrays(key: str, arrays: Mapping[str, np.ndarray]) -> Predictions:
    def by_model(which: str) -> dict[str, np.ndarray]:
        prefix = f"{key}/{which}/"
        values = {name.removeprefix(prefix): v for name, v in arrays.items() if name.startswith(prefix)}
        return {m: v.astype(np.float64) if v.dtype == np.float32 else v for m, v in values.items()}

    return Predictions(
        classes=tuple(str(c) for c in arrays[f"{key}/classes"]),
        rows=arrays[f"{key}/rows"],
        truth=arrays[f"{key}/truth"],
        groups=arrays[f"{key}/groups"],
        tracks=arrays.get(f"{key}/tracks"),
        probabilities=by_model("probabilities"),
        decisions=by_model("decisions"),
        without=by_model("without"),
    )
