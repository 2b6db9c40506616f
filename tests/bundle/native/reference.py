"""Nearest neighbours by going through all points in numpy's float64, and drawn cases to ask them about."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.native.knn_index import KnnIndex

Rows = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """Training points and how to search them."""

    points: Rows
    labels: Labels
    neighbors: int
    p: int
    by_distance: bool
    classes: int = 4

    def index(self, instructions: str | None = None, **options: Any) -> KnnIndex:
        """Build the native index."""
        return KnnIndex(
            self.points,
            self.labels,
            neighbors=self.neighbors,
            classes=self.classes,
            p=self.p,
            by_distance=self.by_distance,
            instructions=instructions,
            **options,
        )

    def distances(self, row: Rows) -> Rows:
        """Distances of one row, for p = 2 squared."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            difference = row - self.points
            return np.asarray(np.abs(difference).sum(axis=1) if self.p == 1 else (difference**2).sum(axis=1))

    def answer(self, rows: Rows) -> Rows:
        """Answer rows; among equal distances the lowest index wins."""
        return np.array([self._one(row) for row in rows]).reshape(len(rows), self.classes)

    def _one(self, row: Rows) -> Rows:
        distances = self.distances(row)
        nearest = np.argsort(distances, kind="stable")[: self.neighbors]
        chosen = distances[nearest] if self.p == 1 else np.sqrt(distances[nearest])
        with np.errstate(all="ignore"):
            weights = 1 / chosen if self.by_distance else np.ones(len(nearest))
            if np.isinf(weights).any():
                weights = np.isinf(weights).astype(np.float64)
            votes = np.bincount(self.labels[nearest], weights, self.classes)
            return np.asarray(votes / votes.sum())

    def decided(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Return which rows have no near-tie at the last neighbour, which rounding could decide otherwise."""
        if self.neighbors == len(self.points):
            return np.ones(len(rows), dtype=np.bool_)
        return np.array([self._is_decided(np.sort(self.distances(row))) for row in rows], dtype=np.bool_)

    def _is_decided(self, distances: Rows) -> bool:
        last, following = distances[self.neighbors - 1 : self.neighbors + 1]
        return bool(following - last > 1e-12 * following)


def whole(rng: np.random.Generator, count: int, features: int, levels: int = 5) -> Rows:
    """Whole numbers: ties are many, and exact in float64 whatever the order of the sum."""
    return rng.integers(0, levels, size=(count, features)).astype(np.float64)


def scattered(rng: np.random.Generator, count: int, features: int) -> Rows:
    """Some clusters, in features of different widths."""
    centres = rng.normal(size=(min(count, 20), features))
    widths = 10.0 ** rng.uniform(-1, 0.3, size=features)
    return np.asarray((centres[rng.integers(0, len(centres), count)] + rng.normal(size=(count, features)) / 2) * widths)


def rows_of(rng: np.random.Generator, points: Rows, count: int) -> Rows:
    """Rows among the points, on them, and far outside."""
    near = points[rng.integers(0, len(points), count)]
    rows = near + rng.normal(size=near.shape) * (points.std() + 1e-3)
    rows[0::5] = near[0::5]
    rows[1::5] *= 10.0 ** rng.integers(0, 7, size=(len(rows[1::5]), 1))
    rows[2::5, 0] += 100 * (np.abs(points).max() + 1)
    return np.asarray(rows)
