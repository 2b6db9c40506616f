"""A labelled collection and a served model: how good it is there, and how far the collection lies from its training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genrestack_common.extractors import OTHER_TAGGER, same_tagger
from genrestack_common.text import closest, counted, listed, quoted, quoted_list
from genrestack_training.data.columns import places_of, rows_named
from genrestack_training.data.extractor import served_extractor_warnings
from genrestack_training.data.groups.grouping import Grouping, find_grouping
from genrestack_training.data.splits import Split
from genrestack_training.data.table import Table, load_table
from genrestack_training.errors import MissingColumnsError, ServedError, TableError
from genrestack_training.evaluation.evaluate import evaluate
from genrestack_training.evaluation.predictions import STACK, Predictions
from genrestack_training.evaluation.results import ASKED, Evaluation
from genrestack_training.evaluation.shift import CollectionShift, TrainingRange, measure_shift
from genrestack_training.served.against import OriginalComparison, compare_with_original
from genrestack_training.served.model import Answers, ServedModel, ask

if TYPE_CHECKING:
    from genrestack_export.finding.source_model import SourceModel
    from genrestack_training.served.model import Client

_SEED = 42
_NAMED = 5


@dataclass(frozen=True)
class TableColumns:
    """Which columns of a table say what."""

    label: str = "label"
    track_column: str | None = None
    artist_column: str | None = None


@dataclass(frozen=True, eq=False)
class CollectionEvaluation:
    """A served model on a collection."""

    model: ServedModel
    name: str
    """Of the table or folder."""
    sha256: str
    """Of the table's bytes."""
    notes: tuple[str, ...]
    evaluation: Evaluation
    shift: CollectionShift
    original: OriginalComparison | None
    seconds: float
    """What the answers took."""


def read_collection(path: Path, model: ServedModel, columns: TableColumns) -> Table:
    """Read the columns that a model takes of a table, in the model's order, and the labels.

    Raises:
        TableError: the table lacks columns or labels, or values where the model needs them; the message names them.

    """
    try:
        table = load_table(
            path,
            label=columns.label,
            track_column=columns.track_column,
            artist_column=columns.artist_column,
            features=model.feature_names,
            allow_missing=True,
        )
    except MissingColumnsError as error:
        raise TableError(
            f"{path}: the table lacks {counted(len(error.columns), 'column')} of the {len(model.feature_names)} that "
            f"{model} takes: {quoted_list(error.columns, _NAMED)}. Add them (of recordings, genrestack features "
            "computes them), or name another model with --model"
        ) from error
    if not same_tagger(table.extractor, model.extractor):
        raise TableError(f"{path}: {OTHER_TAGGER.format(model=model)}")
    places = [table.feature_names.index(name) for name in model.feature_names]
    table = replace(table, features=table.features[:, places], feature_names=model.feature_names)
    refused = np.isnan(table.features) & ~model.accepts_missing
    if refused.any():
        raise TableError(
            f"{path}: {model} takes no missing values here: {places_of(table.features, refused, model.feature_names)}. "
            "Fill them in, remove the rows, or evaluate a model that was trained with --missing median"
        )
    _check_labels(table, model, columns.label)
    return table


def check_genres(folder: Path, model: ServedModel) -> None:
    """Reject genre folders that are no class of the model, before anything is computed.

    Raises:
        TableError: there are such; the message names them.

    """
    named = sorted(
        {path.relative_to(folder).parts[0] for path in folder.rglob("*") if _heard(path.relative_to(folder))}
    )
    unknown = [name for name in named if name not in model.classes]
    if unknown:
        raise TableError(
            f"{folder}: {model} knows no genre of {counted(len(unknown), 'folder')}: {quoted_list(unknown, _NAMED)}"
            f"{_hint(unknown[0], model)}. Rename them as the model does, or move them elsewhere"
        )


def _heard(inside: Path) -> bool:
    """Return whether a file is, by its name, a recording in a genre folder."""
    kind = guess_type(inside.name)[0] or ""
    return (
        kind.startswith("audio/") and len(inside.parts) > 1 and not any(part.startswith(".") for part in inside.parts)
    )


def _hint(label: str, model: ServedModel) -> str:
    close = closest(label, model.classes)
    return f" (did you mean {quoted(close)}?)" if close else f"; its classes are {listed(map(quoted, model.classes))}"


def _check_labels(table: Table, model: ServedModel, column: str) -> None:
    """Reject labels that are no class of the model."""
    labels = np.asarray(table.labels)
    unknown = [str(label) for label in np.unique(labels) if str(label) not in model.classes]
    if not unknown:
        return
    rows = np.flatnonzero(np.isin(labels, unknown))
    raise TableError(
        f"{table.path}: column {column!r} has {counted(len(unknown), 'label')} that {model} does not know, in "
        f"{rows_named(rows)}: {quoted_list(unknown, _NAMED)}{_hint(unknown[0], model)}. Rename them as the model does, "
        "or remove these rows"
    )


def evaluate_collection(
    client: "Client",
    model: ServedModel,
    table: Table,
    *,
    artists: Mapping[str, str] | None = None,
    name: str | None = None,
    original: tuple["SourceModel", Path] | None = None,
    timeout: float = 30.0,
) -> CollectionEvaluation:
    """Ask a model about every row of a labelled table, and measure its answers.

    Args:
        client: connected to the model's server, or with the model loaded.
        model: as `served.describe` gave it.
        table: as `read_collection` gave it.
        artists: filename → artist or other group, as `read_groups` gives it; intervals are over these.
        name: what the collection is called; default: the table's file name.
        original: the stack before its export and the file it is from, to compare with.
        timeout: seconds to wait for the answer to one batch.

    Raises:
        TableError: a group is missing.
        ServedError: the model cannot be asked, or the original is of another kind.

    """
    try:
        grouping = find_grouping(table, artists)
    except TableError as exc:
        raise TableError(f"{table.path}: {exc}") from None
    answers = ask(client, model, table.features, timeout)
    predictions = _predictions(model, table, grouping, answers)
    known = TrainingRange(model.feature_names, model.seen_min, model.seen_max, model.mean, model.deviation)
    return CollectionEvaluation(
        model=model,
        name=name or table.path.name,
        sha256=table.sha256,
        notes=(*_known_rows(model, table), *served_extractor_warnings(model.extractor), *table.notes),
        evaluation=evaluate(
            predictions,
            [_everything(model, table, grouping)],
            interval_unit=grouping.honest_unit,
            filenames=table.identifiers.get("filename"),
            seconds=answers.seconds,
            seed=_SEED,
        ),
        shift=measure_shift(table.features, predictions.groups, known),
        original=None if original is None else compare_with_original(*original, model, table.features, answers),
        seconds=answers.seconds,
    )


def _known_rows(model: ServedModel, table: Table) -> tuple[str, ...]:
    if table.sha256 != model.data_sha256:
        return ()
    return (f"warning: {model} was trained on this very table, which flatters it; evaluate what it has not heard",)


def _predictions(model: ServedModel, table: Table, grouping: Grouping, answers: Answers) -> Predictions:
    place = {label: number for number, label in enumerate(model.classes)}
    if any(label not in place for label in answers.labels):
        raise ServedError(f"{model} answered with a class that it is not described with; ask for it again")
    probabilities = {STACK: answers.probabilities, **answers.base}
    return Predictions(
        classes=model.classes,
        rows=np.arange(len(table.features)),
        truth=np.array([place[str(label)] for label in np.asarray(table.labels)], dtype=np.int64),
        groups=grouping.groups(grouping.honest_unit),
        tracks=grouping.tracks,
        probabilities=probabilities,
        decisions={name: np.argmax(values, axis=1) for name, values in probabilities.items()}
        | {STACK: np.array([place[label] for label in answers.labels], dtype=np.int64)},
        without={},
    )


def _everything(model: ServedModel, table: Table, grouping: Grouping) -> Split:
    """Return the split that holds every row out: none of them is known to have been fitted."""
    rows = np.arange(len(table.features))
    meaning = (
        f"All {len(rows)} rows were answered by {model}, and every metric is measured on them. Rows that the model was "
        "fitted on would flatter it: evaluate what it has not heard."
    )
    return Split(ASKED, rows[:0], rows, meaning, grouping.honest_unit)
