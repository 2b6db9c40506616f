"""What is usual among the songs of a training, and from where on a song is unlike all of them.

Songs of the training are held out to find it: by folds of whole groups (artists, or else recordings).
"""

from dataclasses import replace
from typing import Final

import numpy as np
from sklearn.covariance import LedoitWolf

from genrestack_bundle.neighbors import NOVELTY_NEIGHBORS
from genrestack_export.converters.nearest.novelty import NoveltyScale
from genrestack_proto.v1.model_pb2 import Novelty

ALPHA: Final = 0.05
"""Share of songs like those of the training that may be called novel."""
FEWEST_SONGS: Final = 20
"""Below this many, no threshold would keep to that share."""
FOLDS: Final = 5
"""Of groups; each is measured with what the others say is usual."""
MOST_ROWS: Final = 10_000
"""Training rows that distances are taken to; of more, whole songs are drawn."""
# Copies of a recording under two names are no distance apart, and would make everything else novel.
_LEAST_USUAL: Final = 0.1
_AT_ONCE: Final = 256


def novelty_scale(
    points: np.ndarray, labels: np.ndarray, songs: np.ndarray, groups: np.ndarray, *, unit: str = "row", seed: int = 0
) -> NoveltyScale | None:
    """Measure training rows against each other; None if there are too few songs or groups, or all are alike.

    Args:
        points: scaled training rows, float64, shape (n, f).
        labels: number of each one's class, shape (n,).
        songs: of each row, shape (n,).
        groups: what is held out with it as a whole, shape (n,).
        unit: what a group is: "artist", "track" or "row".
        seed: for the draw of songs.

    """
    kept = _drawn(songs, seed)
    points, labels, songs = points[kept], labels[kept], songs[kept]
    groups = np.unique(groups[kept], return_inverse=True)[1]
    in_all = int(groups.max()) + 1
    if len(np.unique(songs)) < FEWEST_SONGS or in_all < FOLDS:
        return None
    # What is held out must not have shaped the projection either: in it, it would lie nearer than a new song does.
    fold = np.random.default_rng(seed).permutation(in_all)[groups] % FOLDS
    found = np.empty(len(points))
    for number in range(FOLDS):
        held, rest = fold == number, fold != number
        fitted = _fit(points[rest], labels[rest], groups[rest])
        if fitted is None:
            return None
        found[held] = fitted.measure(points[held])
    whole = _fit(points, labels, groups)
    if whole is None:
        return None
    means = song_means(found, songs)
    # The order statistic that bounds the share among songs to come, if these are drawn like them.
    rank = min(int(np.ceil((1 - ALPHA) * (len(means) + 1))), len(means))
    threshold = float(np.sort(means)[rank - 1])
    share = float((means > threshold).mean())
    manifest = Novelty(threshold=threshold, songs=len(means), share_above=share, held_out=unit)
    return replace(whole, manifest=manifest)


def _fit(points: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> NoveltyScale | None:
    """Find out what is usual among rows; None where all are alike, or too few are of other groups."""
    if len(points) - np.unique(groups, return_counts=True)[1].max() <= NOVELTY_NEIGHBORS:
        return None
    projection = _projection(points, labels)
    projected = points @ projection
    usual = held_out_distances(projected, groups)
    typical = float(np.median(usual))
    if not 0 < typical < np.inf:
        return None
    return NoveltyScale(projection, projected, np.maximum(usual, _LEAST_USUAL * typical), Novelty())


def held_out_distances(points: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return each row's mean distance to its nearest rows of other groups, shape (n,)."""
    squares = (points**2).sum(axis=1)
    far = np.empty(len(points))
    for start in range(0, len(points), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        found = squares[some, None] + squares[None] - 2 * points[some] @ points.T
        found[groups[some, None] == groups[None]] = np.inf
        nearest = np.partition(found, NOVELTY_NEIGHBORS - 1, axis=1)[:, :NOVELTY_NEIGHBORS]
        far[some] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return far


def song_means(values: np.ndarray, songs: np.ndarray) -> np.ndarray:
    """Return the mean over each song's rows, in the order of the songs."""
    numbers = np.unique(songs, return_inverse=True)[1]
    return np.asarray(np.bincount(numbers, values) / np.bincount(numbers))


def _projection(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the matrix, shape (f, f), after which rows vary alike within their classes, in all directions."""
    numbers = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(numbers)
    means = np.stack([np.bincount(numbers, column) / counts for column in points.T], axis=1)
    spread = points.std(axis=0)
    spread[spread == 0] = 1
    values, vectors = np.linalg.eigh(LedoitWolf().fit((points - means[numbers]) / spread).covariance_)
    return np.asarray(vectors / np.sqrt(np.maximum(values, np.finfo(np.float64).eps)) / spread[:, None])


def _drawn(songs: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows of as many whole songs as there is room for, all of them if there is."""
    if len(songs) <= MOST_ROWS:
        return np.arange(len(songs))
    numbers = np.unique(songs, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    order = np.random.default_rng(seed).permutation(len(sizes))
    kept = order[: int(np.searchsorted(np.cumsum(sizes[order]), MOST_ROWS, side="right"))]
    return np.flatnonzero(np.isin(numbers, kept))
