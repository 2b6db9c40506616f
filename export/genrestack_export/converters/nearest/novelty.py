"""How far rows are from the training rows, in units of what is usual there: what is known of it, and its graph.

Features are projected so that within a class all directions vary alike. The mean distance to the nearest few training
rows there is divided by what it usually is for these very rows: in a crowd, a small distance is a long way off already.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import DistanceMetric

from genrestack_bundle.neighbors import NOVELTY_NEIGHBORS
from genrestack_bundle.runtime.compose import SCALED
from genrestack_export.converters.nearest.knn import Neighbors, nearest
from genrestack_export.onnx_graph.builder import DOUBLE, INT64, GraphBuilder
from genrestack_proto.v1.model_pb2 import Novelty

_AT_ONCE: Final = 64


@dataclass(frozen=True)
class NoveltyScale:
    """What novelty is measured with."""

    projection: npt.NDArray[np.float64]
    """From scaled features to where distances are taken, shape (f, f)."""
    points: npt.NDArray[np.float64]
    """Training rows there, shape (m, f), m > 3."""
    usual: npt.NDArray[np.float64]
    """Mean distance of each to the nearest few of other groups, above 0, shape (m,)."""
    manifest: Novelty
    """Threshold, and what it was found with."""

    def measure(self, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the novelty of scaled rows, shape (n, f), with scikit-learn's metric: float64, shape (n,)."""
        metric = DistanceMetric.get_metric("euclidean")
        parts = []
        for start in range(0, len(scaled), _AT_ONCE):
            far = metric.pairwise(scaled[start : start + _AT_ONCE] @ self.projection, self.points)
            rows = np.argsort(far, axis=1, kind="stable")[:, :NOVELTY_NEIGHBORS]
            parts.append(np.take_along_axis(far, rows, axis=1).mean(axis=1) / self.usual[rows].mean(axis=1))
        return np.concatenate(parts)


def add_novelty(g: GraphBuilder, scale: NoveltyScale) -> str:
    """Add the novelty of `scaled`: float64 (n,)."""
    found = Neighbors(
        scale.points, np.zeros(len(scale.points), np.int64), 1, NOVELTY_NEIGHBORS, 2, distance_weights=False
    )
    inner = GraphBuilder()
    squares, index = nearest(inner, found)
    inner.name_output(squares, "squares")
    inner.name_output(index, "index")
    shape: list[str | int] = ["rows", NOVELTY_NEIGHBORS]
    search = inner.graph(
        "search",
        {SCALED: (DOUBLE, ["rows", scale.points.shape[1]])},
        {"squares": (DOUBLE, shape), "index": (INT64, shape)},
    )
    projected = g.node("MatMul", SCALED, g.constant(scale.projection, np.float64))
    squares, index = g.absorb(search, {SCALED: projected})
    usual = g.node("Gather", g.constant(scale.usual, np.float64), index, axis=0)
    far = g.reduce_sum(g.node("Sqrt", squares), 1, keepdims=False)
    return g.node("Div", far, g.reduce_sum(usual, 1, keepdims=False))
