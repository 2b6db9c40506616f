"""The table, its recordings and artists, and the outer folds that the figures are of."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from genrestack_training import Table, load_table

FOLDS = 5
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Partition:
    """A labelled table cut into outer folds that share no group."""

    unit: str
    """What is kept whole: "track" or "artist"."""
    table: Table
    classes: npt.NDArray[np.str_]
    codes: Ints
    """Number of each row's class, shape (n,)."""
    tracks: Ints
    """Number of each row's recording, shape (n,)."""
    groups: Ints
    """Number of each row's group, shape (n,)."""
    folds: Ints
    """Number of the outer fold that holds each row back, shape (n,)."""

    def side(self, fold: int) -> Ints:
        """Rows of an outer fold's training side, in the table's order."""
        return np.flatnonzero(self.folds != fold)

    def held_back(self, fold: int) -> Ints:
        """Rows that an outer fold holds back, in the table's order."""
        return np.flatnonzero(self.folds == fold)


def read_partition(table: Path, artists: Path, unit: str, seed: int) -> Partition:
    """Read the 3-second table and cut it.

    Args:
        table: the feature table; its filenames are `<genre>.<number>.<window>.wav`.
        artists: CSV with the columns `filename`, of whole recordings, and `artist_group`.
        unit: "track" or "artist".
        seed: of the cut.

    """
    loaded = load_table(table)
    names = np.array([recording(name) for name in loaded.identifiers["filename"]])
    with artists.open(encoding="utf-8", newline="") as file:
        artist_of = {recording(line["filename"]): line["artist_group"] for line in csv.DictReader(file)}
    classes, codes = np.unique(np.asarray(loaded.labels), return_inverse=True)
    tracks = np.unique(names, return_inverse=True)[1]
    groups = tracks if unit == "track" else np.unique([artist_of[n] for n in names], return_inverse=True)[1]
    folds = np.empty(len(codes), dtype=np.int64)
    cut = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fold, (_, held_back) in enumerate(cut.split(codes, codes, groups)):
        folds[held_back] = fold
    return Partition(unit, loaded, classes, codes, tracks, groups, folds)


def recording(filename: str) -> str:
    """Return `blues.00000` of `blues.00000.3.wav` or `blues.00000.wav`."""
    return ".".join(filename.split(".")[:2])
