"""The search for the nearest training rows as a part of its own: which rows, how far, with what labels and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import DistanceMetric
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import KNeighborsClassifier

from genrestack_bundle.neighbor_search import DISTANCE, LABEL, NAME, NAMES, NOVELTY, ROW
from genrestack_bundle.neighbors import MAX_NEIGHBORS, FoundNeighbors
from genrestack_bundle.runtime.compose import SCALED
from genrestack_export.converters.nearest.knn import Neighbors, nearest, read_knn, root
from genrestack_export.converters.nearest.novelty import NoveltyScale, add_novelty
from genrestack_export.errors import ExportError
from genrestack_export.onnx_graph.builder import DOUBLE, INT64, STRING, GraphBuilder
from genrestack_proto.v1.model_pb2 import PART_KIND_NEIGHBORS, Part

FILE = "neighbors.onnx"
_PART = "neighbors"
_LONGEST_NAME = 1000
_AT_ONCE = 64


@dataclass(frozen=True)
class NeighborsPart:
    """The part, and what scikit-learn is asked to compare it with."""

    part: Part
    model: Any
    """The ONNX model."""
    neighbors: Neighbors
    novelty: NoveltyScale | None

    def expected(self, scaled: npt.NDArray[np.float64]) -> FoundNeighbors:
        """Return what scikit-learn finds for scaled rows, shape (n, f); of equal distances, the lowest row first."""
        parts = []
        for start in range(0, len(scaled), _AT_ONCE):
            far = _distances(self.neighbors, scaled[start : start + _AT_ONCE])
            rows = np.argsort(far, axis=1, kind="stable")[:, : self.neighbors.k]
            parts.append((rows, np.take_along_axis(far, rows, axis=1)))
        rows = np.concatenate([rows for rows, _ in parts]).astype(np.int64)
        far = np.concatenate([far for _, far in parts])
        novelty = None if self.novelty is None else self.novelty.measure(scaled)
        return FoundNeighbors(rows, far, self.neighbors.labels[rows], novelty=novelty)


def _distances(neighbors: Neighbors, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return scikit-learn's distances of rows to the training rows, without the product that its Euclidean ones use."""
    if neighbors.metric == "cosine":
        return np.asarray(cosine_distances(rows, neighbors.points))
    names = {1: "manhattan", 2: "euclidean", np.inf: "chebyshev"}
    metric = (
        DistanceMetric.get_metric(names[neighbors.p])
        if neighbors.p in names
        else DistanceMetric.get_metric("minkowski", p=neighbors.p)
    )
    far = np.asarray(metric.pairwise(np.ascontiguousarray(rows), neighbors.points))
    return far**2 if neighbors.metric == "sqeuclidean" else far


def find_knn(base: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the first base estimator that is a KNN, and its name.

    Raises:
        ExportError: there is none.

    """
    for name, estimator in base.items():
        if type(estimator) is KNeighborsClassifier:
            return name, estimator
    raise ExportError(
        "neighbors: the model has no KNeighborsClassifier whose training rows could be searched; export without "
        "neighbors, or train a stack that has one"
    )


def convert_neighbors(
    base: Mapping[str, Any], row_names: Sequence[str] | None = None, novelty: NoveltyScale | None = None
) -> NeighborsPart:
    """Convert the search of the first KNN among base estimators.

    Args:
        base: fitted base estimators by name.
        row_names: names of the training rows, in the order of the fit; None: their numbers do.
        novelty: what is usual among them; None: nobody knows.

    Raises:
        ExportError: there is no KNN, or there are not as many names as training rows, or one is not short text.
        UnsupportedEstimator: the KNN has no exact graph.

    """
    name, estimator = find_knn(base)
    found = read_knn(f"base estimator {name!r}", estimator)
    names = None if row_names is None else _checked(row_names, len(found.points))
    found = replace(found, k=min(MAX_NEIGHBORS, len(found.points)))
    part_name = _PART
    while part_name in base:
        part_name += "_"
    parameters = {"of": name, "rows": str(len(found.points)), "count": str(found.k), "p": f"{found.p:g}"}
    part = Part(
        name=part_name,
        kind=PART_KIND_NEIGHBORS,
        file=FILE,
        estimator="sklearn.neighbors.KNeighborsClassifier",
        parameters={**parameters, "names": str(names is not None)},
    )
    return NeighborsPart(part, _graph(found, names, novelty), found, novelty)


def _checked(names: Sequence[str], points: int) -> list[str]:
    if len(names) != points:
        raise ExportError(
            f"row_names holds {len(names)} names, and the KNN was fitted on {points} rows; give one for each row, in "
            "the order of the fit"
        )
    for row, name in enumerate(names):
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ExportError(
                f"row_names: the name of row {row} has to be printable text of 1 to {_LONGEST_NAME} characters; "
                "correct it, or export without row names"
            )
    return list(map(str, names))


def _graph(neighbors: Neighbors, names: list[str] | None, novelty: NoveltyScale | None) -> Any:
    """Build the graph: `scaled`, float64 (n, f) → rows, distances, labels and names of the nearest, (n, k) each."""
    g = GraphBuilder()
    distances, index = nearest(g, neighbors)
    g.name_output(root(g, neighbors, distances), DISTANCE)
    g.name_output(index, ROW)
    g.name_output(g.node("Gather", g.constant(neighbors.labels, np.int64), index, axis=0), LABEL)
    shape: list[str | int] = ["rows", neighbors.k]
    outputs: dict[str, tuple[int, list[str | int]]] = {
        ROW: (INT64, shape),
        DISTANCE: (DOUBLE, shape),
        LABEL: (INT64, shape),
    }
    if names is not None:
        g.name_output(g.node("Gather", g.texts(names, NAMES), index, axis=0), NAME)
        outputs[NAME] = (STRING, shape)
    if novelty is not None:
        g.name_output(add_novelty(g, novelty), NOVELTY)
        outputs[NOVELTY] = (DOUBLE, ["rows"])
    count, f = neighbors.points.shape
    return g.model(f"nearest of {count} rows", {SCALED: (DOUBLE, ["rows", f])}, outputs)
