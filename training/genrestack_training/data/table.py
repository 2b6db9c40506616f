"""A feature table from a file: numbers, names, labels, and what is worth remembering of the rest."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genrestack_common.files import UnreadableFileError, regular_file
from genrestack_common.text import listed
from genrestack_training.data.columns import identifier_column, label_texts, numeric_column, places_of
from genrestack_training.data.readers import check_kind, read_frame
from genrestack_training.errors import TableError

IDENTIFIERS = ("filename", "length")
"""Columns that name a row and say nothing of how it sounds: dropped from the features and remembered."""
_FEW = 12


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


def load_table(
    path: str | Path,
    *,
    label: str = "label",
    need_label: bool = True,
    track_column: str | None = None,
    artist_column: str | None = None,
    allow_missing: bool = False,
) -> Table:
    """Read a feature table from `.csv`, `.csv.gz` or `.parquet`.

    Every column but the label, `filename`, `length`, the two below and an unnamed running number is a feature. A number
    in brackets, `[89.1]`, is read as the number.

    Args:
        path: the file.
        label: name of the label column, which holds text or whole numbers.
        need_label: if False, a table without that column is taken too, and its `labels` are None.
        track_column: column that names the recording a row comes from, where the filename does not.
        artist_column: column that names the recording's artist, or another group that splits may keep whole.
        allow_missing: whether features may have empty cells, which are NaN then; Inf never may.

    Raises:
        TableError: the file is not such a table; the message names the row and column and says what to do.

    """
    path = Path(path)
    frame, sha256 = _read(path, label)
    try:
        table = _table(
            frame,
            path,
            label=label,
            need_label=need_label,
            groups=tuple(c for c in (track_column, artist_column) if c),
            allow_missing=allow_missing,
        )
    except TableError as exc:
        raise TableError(f"{path}: {exc}") from None
    return replace(table, sha256=sha256, track_column=track_column, artist_column=artist_column)


def _table(
    frame: pd.DataFrame, path: Path, *, label: str, need_label: bool, groups: tuple[str, ...], allow_missing: bool
) -> Table:
    """Sort the columns by what they are; errors name columns and rows, and leave the file to the caller."""
    frame, notes = _without_row_numbers(frame)
    if frame.empty:
        raise TableError("the table has a header and no rows; add rows below the header")
    labels = _labels(frame, label) if need_label or label in frame.columns else None
    _check_group_columns(frame, label, groups)
    identifiers = [c for c in dict.fromkeys((*IDENTIFIERS, *groups)) if c in frame.columns and c != label]
    names = [str(c) for c in frame.columns if c != label and c not in identifiers]
    if not names:
        raise TableError(f"there is no feature column beside {', '.join(frame.columns)}; add numeric columns")
    return Table(
        features=_features(frame, names, allow_missing=allow_missing),
        feature_names=tuple(names),
        labels=labels,
        identifiers={c: identifier_column(frame[c]) for c in identifiers},
        path=path,
        sha256="",
        notes=notes,
    )


def _check_group_columns(frame: pd.DataFrame, label: str, groups: tuple[str, ...]) -> None:
    for column in groups:
        if column not in frame.columns:
            names = listed(frame.columns, _FEW)
            raise TableError(f"there is no column {column!r} to group rows by; its columns are {names}")
        if column == label:
            raise TableError(f"column {column!r} is the label; rows cannot be grouped by it: name another column")


def _read(path: Path, label: str) -> tuple[pd.DataFrame, str]:
    """Read the file's content, and the hex digest of its bytes."""
    try:
        with regular_file(path) as file:
            check_kind(path)
            if not os.fstat(file.fileno()).st_size:
                raise TableError(f"{path} is empty; a table has a header line and rows below it")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return read_frame(path, file, label=label), sha256
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


def _row_numbers(column: "pd.Series[Any]") -> bool:
    """Return whether a column holds whole numbers, none of them twice."""
    numbers = pd.to_numeric(column, errors="coerce")
    return bool((numbers % 1 == 0).all() and numbers.is_unique)


def _labels(frame: pd.DataFrame, label: str) -> np.ndarray:
    if label not in frame.columns:
        raise TableError(f"no label column {label!r}; {_label_candidates(frame)}. Name the label column with --label")
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
    features = np.column_stack([numeric_column(frame[name]) for name in names])
    faulty = np.isinf(features) if allow_missing else ~np.isfinite(features)
    if faulty.any():
        places = places_of(features, faulty, names)
        raise TableError(f"values that are not finite numbers: {places}. Fill them in or remove the rows")
    return np.ascontiguousarray(features, dtype=np.float64)
