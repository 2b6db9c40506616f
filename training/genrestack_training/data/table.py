"""A feature table from a file: numbers, names, labels, and what is worth remembering of the rest."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrestack_common.extractors import Extractor
from genrestack_common.files import UnreadableFileError, regular_file
from genrestack_common.tables.dialect import are_values
from genrestack_common.text import counted, listed, quoted
from genrestack_training.config.settings import TableSettings
from genrestack_training.data.columns import (
    identifier_column,
    label_texts,
    numeric_column,
    padded_labels,
    places_of,
    rows_named,
)
from genrestack_training.data.extractor import without_extractor
from genrestack_training.data.readers import IDENTIFIERS, check_kind, read_frame
from genrestack_training.data.selection import chosen, drop_option, dropped
from genrestack_training.errors import MissingColumnsError, TableError

FEWEST_COUNTED = 20
"""Rows from which a column of whole numbers without a gap is not a coincidence."""
_FEW = 12
_MANY = 50
_OTHERWISE = "name the label with --label and what names recordings with --track-column"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of features with their labels."""

    features: np.ndarray
    """float64, shape (n, f); finite, or NaN where a value is missing and that was allowed."""
    feature_names: tuple[str, ...]
    labels: np.ndarray | None
    """str, shape (n,): the user's own texts; whole numbers as their digits. None if the table has none."""
    identifiers: Mapping[str, np.ndarray]
    """Column name → values, shape (n,), of the `IDENTIFIERS` that the table has and of the columns named below."""
    path: Path
    sha256: str
    """Hex digest of the file's bytes."""
    notes: tuple[str, ...] = ()
    """What was passed over on reading, one plain line each."""
    track_column: str | None = None
    """The identifier that names a row's recording; None: the filename does."""
    artist_column: str | None = None
    """The identifier that names a row's artist; None if no column does."""
    selection: TableSettings = field(default_factory=TableSettings)
    """Which columns were left out, and which chosen."""
    collections: np.ndarray | None = None
    """str, shape (n,): the table that a row is from; None of a single table."""
    extractor: Extractor | None = None
    """What computed the features, as far as the table says it."""


def load_table(
    path: str | Path,
    *,
    label: str = "label",
    need_label: bool = True,
    track_column: str | None = None,
    artist_column: str | None = None,
    drop: Sequence[str] = (),
    features: Sequence[str] = (),
    allow_missing: bool = False,
) -> Table:
    """Read a feature table from `.csv`, `.tsv`, `.txt`, one of these packed, or `.parquet`; see docs/tables.md.

    Every column but the label, `filename`, `length`, the two below and a running number is a feature. A number in
    brackets, `[89.1]`, is read as the number.

    Args:
        path: the file.
        label: name of the label column, which holds text or whole numbers.
        need_label: if False, a table without that column is taken too, and its `labels` are None.
        track_column: column that names the recording a row comes from, where the filename does not.
        artist_column: column that names the recording's artist, or another group that splits may keep whole.
        drop: columns to leave out, by name or by shell pattern (`tag_*`).
        features: columns to take for features, likewise; by default all that can be.
        allow_missing: whether features may have empty cells, which are NaN then; Inf never may.

    Raises:
        TableError: the file is not such a table; the message names the row and column and says what to do.

    """
    path = Path(path)
    choice = TableSettings(tuple(drop), tuple(features))
    groups = tuple(column for column in (track_column, artist_column) if column)
    frame, sha256 = _read(path, label, choice, groups)
    try:
        table = _table(
            frame, path, choice, label=label, need_label=need_label, groups=groups, allow_missing=allow_missing
        )
    except MissingColumnsError as exc:
        raise MissingColumnsError(f"{path}: {exc}", exc.columns) from None
    except TableError as exc:
        raise TableError(f"{path}: {exc}") from None
    return replace(table, sha256=sha256, track_column=track_column, artist_column=artist_column, selection=choice)


def select(table: Table, choice: TableSettings) -> Table:
    """Return a table with the features that were chosen.

    Raises:
        TableError: a name or pattern means no column, or none is left.

    """
    names = table.feature_names
    out = dropped(names, choice)
    kept = [name for name in chosen(names, names, choice) if name not in out]
    if not kept:
        raise TableError("drop and features leave no column; choose other columns")
    places = [names.index(name) for name in kept]
    return replace(table, features=table.features[:, places], feature_names=tuple(kept), selection=choice)


def _table(
    frame: pd.DataFrame,
    path: Path,
    choice: TableSettings,
    *,
    label: str,
    need_label: bool,
    groups: tuple[str, ...],
    allow_missing: bool,
) -> Table:
    """Sort the columns by what they are; errors name columns and rows, and leave the file to the caller."""
    frame = _without_dropped(frame, choice, {label: "the label", **dict.fromkeys(groups, "a column that groups rows")})
    frame, notes = _without_row_numbers(frame)
    frame, blank = _without_blank_rows(frame)
    notes += blank
    if frame.empty:
        raise TableError("the table has a header and no rows; add rows below the header")
    labels = _labels(frame, label) if need_label or label in frame.columns else None
    if labels is not None and (padded := padded_labels(frame[label])):
        notes += (f"{counted(padded, 'label')} had blanks around them: taken off",)
    if labels is not None and label in labels and are_values(list(map(str, frame.columns))):
        raise TableError(f"there is no header: its first line holds the label {quoted(label)}; write names above it")
    _check_group_columns(frame, label, groups)
    frame, extractor = without_extractor(frame, kept={label, *groups, *choice.features})
    named = set(choice.features) - set(groups)
    identifiers = [c for c in dict.fromkeys((*IDENTIFIERS, *groups)) if c in frame.columns and c not in {label, *named}]
    names = [str(c) for c in frame.columns if c != label and c not in identifiers]
    names = chosen([str(c) for c in frame.columns if c != label], names, choice)
    if not names:
        raise TableError(f"there is no feature column beside {', '.join(frame.columns)}; add numeric columns")
    features = _features(frame, names, allow_missing=allow_missing)
    if need_label:
        features, names, counters = _without_counters(features, names, named)
        notes += counters
    return Table(
        features=features,
        feature_names=tuple(names),
        labels=labels,
        identifiers={c: identifier_column(frame[c]) for c in identifiers},
        path=path,
        sha256="",
        notes=notes,
        extractor=extractor,
    )


def _check_group_columns(frame: pd.DataFrame, label: str, groups: tuple[str, ...]) -> None:
    for column in groups:
        if column not in frame.columns:
            names = listed(frame.columns, _FEW)
            raise TableError(f"there is no column {column!r} to group rows by; its columns are {names}")
        if column == label:
            raise TableError(f"column {column!r} is the label; rows cannot be grouped by it: name another column")


def _without_dropped(frame: pd.DataFrame, choice: TableSettings, needed: Mapping[str, str]) -> pd.DataFrame:
    out = dropped([str(name) for name in frame.columns], choice, needed)
    for column in out & set(needed):
        raise TableError(f"column {column!r} is {needed[column]}, and drop leaves it out; name other columns")
    return frame.drop(columns=list(out))


def _read(path: Path, label: str, choice: TableSettings, groups: tuple[str, ...]) -> tuple[pd.DataFrame, str]:
    """Read the file's content, and the hex digest of its bytes."""
    try:
        with regular_file(path) as file:
            check_kind(path)
            if not os.fstat(file.fileno()).st_size:
                raise TableError(f"{path} is empty; a table has a header line and rows below it")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return read_frame(path, file, label=label, choice=choice, needed=(label, *groups)), sha256
    except UnreadableFileError as exc:
        raise TableError(str(exc)) from exc
    except OSError as exc:
        raise TableError(f"cannot read {path}: {exc.strerror}") from exc


def _without_row_numbers(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Drop the columns that spreadsheets and pandas write without a name: row numbers, and nothing at all."""
    notes, left_out = [], []
    for place, column in enumerate(frame.columns, start=1):
        if column.strip() and not column.startswith("Unnamed: ") and column != "__index_level_0__":
            continue
        if frame[column].isna().all():
            notes.append(f"column {place} has neither a name nor values: left out")
        elif _row_numbers(frame[column]):
            notes.append(f"column {place} has no name and numbers the rows: left out")
        else:
            raise TableError(f"column {place} has no name; name it in the header, or remove it")
        left_out.append(column)
    return frame.drop(columns=left_out), tuple(notes)


def _without_blank_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Drop the rows that have separators and nothing else, as spreadsheets write them."""
    blank = frame.isna().all(axis=1).to_numpy()
    if not blank.any() or blank.all():
        return frame, ()
    left_out = np.flatnonzero(blank)
    return frame[~blank], (f"{rows_named(left_out)} {'holds' if len(left_out) == 1 else 'hold'} nothing: left out",)


def _without_counters(
    features: np.ndarray, names: list[str], named: set[str]
) -> tuple[np.ndarray, list[str], tuple[str, ...]]:
    """Leave out columns that number the rows, unless they were named: in a sorted table they tell the label."""
    counters = [column for column, name in enumerate(names) if name not in named and _counts(features[:, column])]
    notes = tuple(f"column {names[column]!r} numbers the rows: left out" for column in counters)
    kept = [column for column in range(len(names)) if column not in counters]
    if not kept:
        raise TableError(f"there is no feature column: {'; '.join(notes)}; add numeric columns")
    return features[:, kept] if counters else features, [names[column] for column in kept], notes


def _counts(values: np.ndarray) -> bool:
    """Return whether they are whole numbers without a gap and none twice, in any order."""
    if len(values) < FEWEST_COUNTED or values.max() - values.min() + 1 != len(values):
        return False
    return bool((values % 1 == 0).all()) and len(np.unique(values)) == len(values)


def _row_numbers(column: "pd.Series[Any]") -> bool:
    """Return whether a column holds whole numbers, none of them twice."""
    numbers = pd.to_numeric(column, errors="coerce")
    return bool((numbers % 1 == 0).all() and numbers.is_unique)


def _labels(frame: pd.DataFrame, label: str) -> np.ndarray:
    if label not in frame.columns:
        values = are_values([str(name) for name in frame.columns])
        remedy = "If these are values, write names above them" if values else "Name the label column with --label"
        raise TableError(f"no label column {label!r}; {_label_candidates(frame)}. {remedy}")
    return label_texts(frame[label])


def _label_candidates(frame: pd.DataFrame) -> str:
    """List the columns: all of a few; of many those that hold text, as labels do, and the first and last."""
    names = [str(name) for name in frame.columns]
    if len(names) <= _FEW:
        return f"its columns are {', '.join(names)}"
    ends = f"its {len(names)} columns go from {', '.join(names[:3])} to {', '.join(names[-3:])}"
    texts = [name for name in names if name not in IDENTIFIERS and not pd.api.types.is_numeric_dtype(frame[name])]
    return f"{ends}; text is in {listed(texts)}" if texts else ends


def _features(frame: pd.DataFrame, names: list[str], *, allow_missing: bool) -> np.ndarray:
    features = np.column_stack(_numeric(frame, names))
    faulty = np.isinf(features) if allow_missing else ~np.isfinite(features)
    if faulty.any():
        places = places_of(features, faulty, names)
        raise TableError(f"values that are not finite numbers: {places}. Fill them in or remove the rows")
    return np.ascontiguousarray(features, dtype=np.float64)


def _numeric(frame: pd.DataFrame, names: list[str]) -> list[np.ndarray]:
    """Return every column as numbers, or raise one error that names all of those that are none."""
    found, wrong = [], {}
    for name in names:
        try:
            found.append(numeric_column(frame[name]))
        except TableError as exc:
            wrong[name] = exc
    if not wrong:
        return found
    if len(wrong) == 1:
        ((name, error),) = wrong.items()
        out = f"leave the column out ({drop_option([name])})"
        raise TableError(f"{error}. Correct it, {out}, or {_OTHERWISE}") from None
    told = [f"{quoted(name)} ({str(error).partition(': ')[2]})" for name, error in wrong.items()]
    raise TableError(
        f"{len(wrong)} columns are not numeric: {listed(told, _MANY)}. Leave them out ({drop_option(wrong)}), or "
        f"{_OTHERWISE}"
    ) from None
