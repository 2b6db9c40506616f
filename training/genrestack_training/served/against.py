"""A served model beside the stack it was exported from: whether they answer the same, and how quickly."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genrestack_common.text import quoted_list
from genrestack_training.errors import ServedError
from genrestack_training.served.model import Answers, ServedModel

if TYPE_CHECKING:
    from genrestack_export.finding.source_model import SourceModel

_EXAMPLES = 5


@dataclass(frozen=True)
class DifferingLabel:
    """A row on which the two disagree."""

    row: int
    """Data row of the table, counted from 1."""
    served: str
    original: str
    margin: float
    """Of the original: its probability of the first label less that of the second."""


@dataclass(frozen=True)
class OriginalComparison:
    """The served model beside its original, on the same rows."""

    file: str
    rows: int
    differing: int
    rounded: int
    """Of these, labels that differ no more once the original gets the rows as they travel, rounded to float32."""
    examples: tuple[DifferingLabel, ...]
    """The first few."""
    largest: float
    """Largest difference of a probability, whole stack."""
    parts: Mapping[str, float]
    """The same of each base model."""
    original_seconds: float
    served_seconds: float


def load_original(path: Path, scaler: Path | None) -> "SourceModel":
    """Load the stack before its export. This unpickles, and so runs what the files ask for.

    Args:
        path: a pickle as `genrestack export --stack` takes it, or the folder of a run.
        scaler: the pickled scaler in front of it, if the file does not hold one.

    Raises:
        ExportError, RunError: the file is no fitted model, or the folder no whole run.

    """
    from genrestack_export.finding.pickles import load_pickle
    from genrestack_export.finding.source_model import SourceModel
    from genrestack_export.finding.unwrap import unwrap

    if path.is_dir():
        from genrestack_training.run.storage import load_run

        run = load_run(path)
        return SourceModel(run.stack, run.scaler, run.classes, run.feature_names, "a run")
    return unwrap(load_pickle(path), None if scaler is None else load_pickle(scaler))


def compare_with_original(
    original: "SourceModel", file: Path, model: ServedModel, rows: np.ndarray, answers: Answers
) -> OriginalComparison:
    """Have the original answer the rows that were asked, and compare.

    Args:
        original: as `load_original` gave it.
        file: where it came from.
        model: that was asked.
        rows: float64, shape (n, f), in the model's order.
        answers: the model's.

    Raises:
        ServedError: the two are not of one kind: other columns or other classes.

    """
    places = _class_places(original, model, file)
    ordered = _ordered(original, model, rows, file)
    from genrestack_export.source_stack import rows_without_names

    with rows_without_names():
        # The first answer of a network takes longer.
        _answer(original, ordered[:2])
        begun = time.monotonic()
        probabilities = _answer(original, ordered)
        seconds = time.monotonic() - begun
        parts = _parts(original, ordered)
        probabilities = probabilities[:, places]
        classes, served = np.array(model.classes), np.array(answers.labels)
        differing = np.flatnonzero(classes[np.argmax(probabilities, axis=1)] != served)
        rounded = 0
        if len(differing):
            travelled = ordered[differing].astype(np.float32).astype(np.float64)
            again = classes[np.argmax(_answer(original, travelled)[:, places], axis=1)]
            rounded = int(np.count_nonzero(again == served[differing]))
    return OriginalComparison(
        file=file.name,
        rows=len(rows),
        differing=len(differing),
        rounded=rounded,
        examples=tuple(_example(i, answers.labels[i], probabilities[i], model) for i in differing[:_EXAMPLES].tolist()),
        largest=float(np.abs(probabilities - answers.probabilities).max()),
        parts={
            name: float(np.abs(values[:, places] - answers.base[name]).max())
            for name, values in parts.items()
            if name in answers.base
        },
        original_seconds=seconds,
        served_seconds=answers.seconds,
    )


def _class_places(original: "SourceModel", model: ServedModel, file: Path) -> list[int]:
    """Return, for each class of the served model, its column of the original."""
    known = [str(name) for name in original.classes or original.model.classes_]
    if set(known) == set(model.classes):
        return [known.index(name) for name in model.classes]
    # Codes were named when the model was exported, in their order.
    codes = all(name.lstrip("-").isdigit() for name in known)
    if codes and len(known) == len(model.classes):
        return list(range(len(known)))
    raise ServedError(
        f"{file.name} knows the classes {quoted_list(known)}, and {model} {quoted_list(model.classes)}; name the stack "
        "that was exported"
    )


def _ordered(original: "SourceModel", model: ServedModel, rows: np.ndarray, file: Path) -> np.ndarray:
    """Return the rows' columns in the order of the original's fit."""
    names = original.feature_names
    width = getattr(original.preprocessing or original.model, "n_features_in_", rows.shape[1])
    if names is not None and set(names) == set(model.feature_names):
        return rows[:, [model.feature_names.index(name) for name in names]]
    if names is not None or width != rows.shape[1]:
        raise ServedError(
            f"{file.name} takes {len(names or ()) or width} columns and {model} {rows.shape[1]} or others; name the "
            "stack that was exported, with its --scaler if that is a file of its own"
        )
    return rows


def _scaled(original: "SourceModel", rows: np.ndarray) -> np.ndarray:
    return rows if original.preprocessing is None else np.asarray(original.preprocessing.transform(rows))


def _answer(original: "SourceModel", rows: np.ndarray) -> np.ndarray:
    # One row alone is squeezed to one dimension by scikeras, on which a stack fails.
    padded = np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows
    return np.asarray(original.model.predict_proba(_scaled(original, padded)), dtype=np.float64)[: len(rows)]


def _parts(original: "SourceModel", rows: np.ndarray) -> dict[str, np.ndarray]:
    members: Mapping[str, Any] = getattr(original.model, "named_estimators_", {})
    padded = _scaled(original, np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows)
    return {
        name: np.asarray(member.predict_proba(padded), dtype=np.float64)[: len(rows)]
        for name, member in members.items()
        if hasattr(member, "predict_proba")
    }


def _example(row: int, served: str, probabilities: np.ndarray, model: ServedModel) -> DifferingLabel:
    first, second = np.sort(probabilities)[::-1][:2]
    return DifferingLabel(row + 1, served, model.classes[int(np.argmax(probabilities))], float(first - second))
