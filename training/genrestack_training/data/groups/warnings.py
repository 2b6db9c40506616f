"""Names that do not say which rows belong together, or say it wrongly: a warning for each.

Every threshold stands in docs/tables.md.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import numpy as np

from genrestack_common.text import listed, quoted
from genrestack_training.data.groups.grouping import Grouping, stem_of
from genrestack_training.data.table import Table

ALONE: Final = 0.95
"""Groups for each recording from which a split by group is said to be one by recording."""
NUMBERED: Final = 0.5
"""Share of the rows whose names end in a number behind a common beginning, from which it is warned of."""
BEGINNINGS: Final = 3
"""Different beginnings for each class that there are at least, if they may be recordings."""
_PADDED: Final = 5
"""Digits with zeros in front from which a number is one of recordings: blues.00000."""
_UNITS: Final = ("sec", "ms", "s")
_FEWEST: Final = 20
"""Recordings under which a groups file is not judged."""
_NUMBERS: Final = 4
"""Numbers that a window may end in: `song_3`, or `song_3.0-6.0`."""


def grouping_warnings(table: Table, labels: np.ndarray, grouping: Grouping, split: str) -> Iterator[str]:
    """Yield a line for each thing that the names of rows, recordings and artists leave doubtful.

    Args:
        table: its identifiers are looked at.
        labels: str, shape (n,).
        grouping: what was made of them.
        split: the name of the split.

    """
    tracks = grouping.tracks
    if tracks is not None:
        recordings, number = np.unique(tracks, return_inverse=True)
        if split == "track" and len(recordings) == len(tracks):
            yield (
                "Every recording has one row, so the split by recording is a random split of rows. If several rows "
                "were cut from one recording, name the column that says which with --track-column"
            )
        if table.track_column is None:
            yield from _doubtful_windows(recordings, number, labels)
    if grouping.artists is not None:
        yield from _lonely_groups(grouping)


def label_warnings(labels: np.ndarray) -> Iterator[str]:
    """Yield a line if labels are probably one, written in several ways.

    Args:
        labels: str, shape (n,).

    """
    spellings: dict[str, list[str]] = {}
    for label in np.unique(labels).tolist():
        spellings.setdefault(_letters(label), []).append(label)
    alike = [" and ".join(map(quoted, several)) for several in spellings.values() if len(several) > 1]
    if alike:
        yield (
            "Labels that differ in case, blanks, hyphens or the way to write an accent alone are classes of their own: "
            f"{listed(alike, 5)}. If they are one, write them one way"
        )


def _letters(label: str) -> str:
    folded = unicodedata.normalize("NFKC", label).casefold()
    return re.sub(r"[\s_-]+", "", folded) or folded


def _doubtful_windows(recordings: np.ndarray, number: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    classes, codes = np.unique(labels, return_inverse=True)
    if _one_to_one(number, codes) and len(labels) > len(classes):
        yield (
            f"The filenames give one recording to each class, such as {quoted(recordings[0])}: the numbers behind "
            "their last full stop were read as those of windows. If they number recordings, write them with leading "
            "zeros (blues.00003.wav), or add --track-column filename"
        )
        return
    # Of recordings with several rows the windows were understood.
    alone = np.bincount(number) == 1
    if alone.sum() < NUMBERED * len(number):
        return
    beginnings = np.array([stem_of(str(name)) for name in recordings])
    for _ in range(_NUMBERS):
        beginnings = np.array([_without_number(name) for name in beginnings.tolist()])
        starts, owner, sizes = np.unique(beginnings, return_inverse=True, return_counts=True)
        shared = (sizes > 1) & (starts != "")
        rows = shared[owner] & alone
        if rows.sum() < NUMBERED * len(number) or shared.sum() < BEGINNINGS * len(classes):
            continue
        pairs = np.unique(np.column_stack([owner[number], codes])[rows[number]], axis=0)
        if len(pairs) > shared.sum() / ALONE:
            continue  # windows of one recording have one label
        yield (
            f"{int(rows.sum()):,} of {len(recordings):,} names end in a number behind a beginning that several share, "
            f"such as {quoted(str(recordings[np.argmax(rows)]))}, and each was taken for a recording of its own. If "
            "they are windows, name them with a full stop and no leading zeros (song.3.wav is window 3 of song), or "
            "name the column that says which recording they are from with --track-column: windows of one recording on "
            "both sides of a split flatter every metric"
        )
        return


def _without_number(name: str) -> str:
    """Return a name without the number that it ends in and the marks around that: `song (3)`, `song_3s` → `song`."""
    bare = name[:-1] if name.endswith((")", "]")) else name
    unit = next((unit for unit in _UNITS if bare.lower().endswith(unit) and bare[: -len(unit)][-1:].isdecimal()), "")
    bare = bare[: len(bare) - len(unit)]
    rest = bare.rstrip("0123456789")
    number = bare[len(rest) :]
    if not number or (len(number) >= _PADDED and number.startswith("0")):
        return name
    return rest.rstrip("._- #([")


def _one_to_one(left: np.ndarray, right: np.ndarray) -> bool:
    pairs = len(np.unique(np.column_stack([left, right]), axis=0))
    return pairs == len(np.unique(left)) == len(np.unique(right))


def _lonely_groups(grouping: Grouping) -> Iterator[str]:
    tracks = np.arange(grouping.rows) if grouping.tracks is None else grouping.tracks
    recordings, groups = len(np.unique(tracks)), len(np.unique(np.asarray(grouping.artists)))
    if recordings >= _FEWEST and groups >= ALONE * recordings:
        what = "row" if grouping.tracks is None else "recording"
        yield (
            f"There are {groups:,} groups (artists) of {recordings:,} {what}s, and a split by artist is one by {what}. "
            f"Unless each {what} really is by another artist, "
            "write one group for all of an artist's"
        )
