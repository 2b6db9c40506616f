"""Which rows belong together: windows of one recording, recordings of one artist."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genrestack_common.text import listed
from genrestack_training.data.table import Table
from genrestack_training.errors import TableError

UNITS: Mapping[str, str] = {"row": "rows", "track": "recordings", "artist": "artists"}
"""What can be kept whole by a split, and what several of it are called; from the finest to the coarsest."""

_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")
# A window's number is written without leading zeros: blues.00000.3 is a window, blues.00000 a recording.
_WINDOW = re.compile(r"(.+)\.(?:0|[1-9][0-9]*)")


@dataclass(frozen=True, eq=False)
class Grouping:
    """What is known of the rows' recordings and artists."""

    tracks: np.ndarray | None
    """str, shape (n,); None if the table does not say."""
    artists: np.ndarray | None
    """str, shape (n,); None if nobody has said."""
    rows: int

    @property
    def windowed(self) -> bool:
        """True if some recording has several rows."""
        return self.tracks is not None and len(np.unique(self.tracks)) < self.rows

    @property
    def honest_unit(self) -> str:
        """The coarsest unit that is known: "artist", "track" if some recording has several rows, else "row"."""
        if self.artists is not None:
            return "artist"
        return "track" if self.windowed else "row"

    def groups(self, unit: str) -> np.ndarray:
        """Return the number of each row's group: int64, shape (n,), from 0.

        Args:
            unit: a key of `UNITS`.

        Raises:
            TableError: the unit is not known of this table.

        """
        names = {"row": np.arange(self.rows), "track": self.tracks, "artist": self.artists}[unit]
        if names is None:
            raise TableError(_UNKNOWN[unit])
        return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


_UNKNOWN = {
    "track": "the table does not say which rows belong to one recording: it has no column filename. Name the column "
    "that does with --track-column",
    "artist": "nothing says which recordings are of one artist; give a table of filename and group with --groups, or "
    "name the table's own column with --artist-column",
}


def track_of(filename: str) -> str:
    """Return the recording that a row's filename refers to: `blues.00000.3.wav` and `blues.00000.wav` → `blues.00000`.

    The extension goes, and a last number behind a full stop that has no leading zeros, which is the window's.
    """
    stem = stem_of(filename)
    found = _WINDOW.fullmatch(stem)
    return found[1] if found else stem


def stem_of(filename: str) -> str:
    """Return a filename without its extension."""
    head, dot, tail = filename.rpartition(".")
    return head if head and _EXTENSION.fullmatch(dot + tail) else filename


def find_grouping(table: Table, artists: Mapping[str, str] | None = None) -> Grouping:
    """Determine which rows of a table belong together.

    Args:
        table: its `track_column` names recordings; without one, they are read from the filenames.
        artists: filename → artist, of windows or of whole recordings; it wins over the table's `artist_column`.

    Raises:
        TableError: a row's filename is not in `artists`, a row has no track or artist, or a recording has two artists.

    """
    tracks = _tracks(table)
    grouping = Grouping(tracks, _artists(table, artists), len(table.features))
    if tracks is not None and grouping.artists is not None:
        _refuse_split_tracks(tracks, grouping.artists)
    return grouping


def _tracks(table: Table) -> np.ndarray | None:
    if table.track_column is not None:
        tracks = _texts(table, table.track_column, "recording")
    elif "filename" in table.identifiers:
        tracks = np.array([track_of(str(name)) for name in table.identifiers["filename"]])
    else:
        return None
    if table.collections is None:
        return tracks
    # Two collections may have a recording of one name each.
    pairs = zip(table.collections.tolist(), tracks.tolist(), strict=True)
    return np.array([f"{collection}/{track}" for collection, track in pairs])


def _artists(table: Table, artists: Mapping[str, str] | None) -> np.ndarray | None:
    if artists is not None:
        return _looked_up(table, artists)
    return None if table.artist_column is None else _texts(table, table.artist_column, "artist")


def _texts(table: Table, column: str, what: str) -> np.ndarray:
    texts = np.array([str(value).strip() for value in table.identifiers[column]])
    missing = np.flatnonzero((texts == "") | (texts == "nan"))
    if len(missing):
        row = int(missing[0])
        raise TableError(f"data row {row + 1} has no {what} in column {column!r}; fill it in or remove the row")
    return texts


def _looked_up(table: Table, artists: Mapping[str, str]) -> np.ndarray:
    if "filename" not in table.identifiers:
        raise TableError("groups are looked up by filename, and the table has no such column; use --artist-column")
    names = [str(name) for name in table.identifiers["filename"]]
    by_stem = {stem_of(name): group for name, group in artists.items()}
    found = [artists.get(name, by_stem.get(stem_of(name), by_stem.get(track_of(name)))) for name in names]
    missing = sorted({name for name, group in zip(names, found, strict=True) if group is None})
    if missing:
        raise TableError(
            f"the groups file has no line for {len(missing)} of the table's filenames: {listed(missing, 5)}. Add a "
            "line for each of them, or for its recording (blues.00000.wav stands for blues.00000.3.wav)"
        )
    return np.array(found)


def _refuse_split_tracks(tracks: np.ndarray, artists: np.ndarray) -> None:
    pairs = np.unique(np.column_stack([tracks, artists]), axis=0)
    names, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        first = str(names[counts > 1][0])
        raise TableError(f"the recording {first!r} has rows of several artists; give all its rows one artist")
