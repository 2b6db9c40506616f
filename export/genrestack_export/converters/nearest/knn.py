"""`KNeighborsClassifier` as a graph: a fast search that verifies itself, and a slow one for the rows where it cannot.

The search scores every training point in low precision and keeps a few more candidates than there are neighbours.
Their distances are computed again in float64, and with them a bound: a row is certain when the best point outside the
candidates, its score taken as low as rounding could have made it, is still farther than the last neighbour. Rows
without that certainty, of which there are few, go through all training points in float64. So precision of the score
decides how long an answer takes, and never what it is.

Ties have no single answer in scikit-learn; here the lowest training index wins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.runtime.compose import PROBABILITIES, SCALED
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, INT64, UINT8, GraphBuilder

_METRICS = {"manhattan": 1, "cityblock": 1, "l1": 1, "euclidean": 2, "l2": 2}
_OTHERS = {"chebyshev": np.inf, "infinity": np.inf, "sqeuclidean": 2, "cosine": 2}
_SUPPORTED_METRICS = (
    "metric minkowski with any p from 1, manhattan, cityblock, l1, euclidean, l2, sqeuclidean, chebyshev, cosine"
)

# Candidates beyond the neighbours: enough that on the 3-second GTZAN table hardly a row in a thousand is uncertain.
_SPARE = 16
# Below this many training points a search in float64 is as quick as a score.
_DIRECT = 128
# Training points in one step of the score: larger steps fall out of the cache, smaller ones drown in overhead.
_CHUNK = 1024
# Levels of a uint8.
_LEVELS = 255
_SQUARES = 2


@dataclass(frozen=True)
class Neighbors:
    """What a fitted `KNeighborsClassifier` knows."""

    points: npt.NDArray[np.float64]
    """Training points, shape (N, f)."""
    labels: npt.NDArray[np.int64]
    """Column of each point's class, shape (N,)."""
    classes: int
    k: int
    p: float
    """Of Minkowski's distance; infinity is Chebyshev's."""
    distance_weights: bool
    metric: str = "minkowski"
    """Or sqeuclidean, cosine."""

    @property
    def scored(self) -> bool:
        """Return whether there is a score for its distance: others are searched whole."""
        return self.p in {1, 2} and self.metric != "cosine"


def read_knn(where: str, estimator: Any) -> Neighbors:
    """Read a fitted `KNeighborsClassifier`.

    Raises:
        UnsupportedEstimator: its weights, metric or training data are of a kind that has no exact graph here.

    """
    if not (estimator.weights is None or isinstance(estimator.weights, str)):
        raise UnsupportedEstimator(
            where, f"KNeighborsClassifier(weights={estimator.weights!r})", "weights 'uniform' or 'distance'"
        )
    if estimator.weights not in {None, "uniform", "distance"}:
        raise UnsupportedEstimator(
            where, f"KNeighborsClassifier(weights={estimator.weights!r})", "weights 'uniform' or 'distance'"
        )
    metric = estimator.metric
    # A metric of the user's own may be no text and not even hashable.
    known: dict[str, float] = {**_METRICS, **_OTHERS, "minkowski": estimator.p}
    # "p" beside other parameters, as metric_params, is what scikit-learn would take.
    extra = {k: v for k, v in (estimator.metric_params or {}).items() if v is not None and k != "p"}
    p = known.get(metric) if isinstance(metric, str) else None
    if metric == "minkowski" and estimator.metric_params:
        p = estimator.metric_params.get("p", p)
    if p is None or not p >= 1 or extra:
        found = f"KNeighborsClassifier(metric={metric!r}, p={estimator.p!r}, metric_params={estimator.metric_params!r})"
        raise UnsupportedEstimator(where, found, _SUPPORTED_METRICS)
    if not isinstance(estimator._fit_X, np.ndarray) or estimator.outputs_2d_:
        raise UnsupportedEstimator(where, "KNeighborsClassifier fitted on sparse rows or several outputs", "dense rows")
    return Neighbors(
        points=np.asarray(estimator._fit_X, dtype=np.float64),
        labels=np.asarray(estimator._y, dtype=np.int64).ravel(),
        classes=len(estimator.classes_),
        k=int(estimator.n_neighbors),
        p=float(p),
        distance_weights=estimator.weights == "distance",
        metric=metric if metric in {"sqeuclidean", "cosine"} else "minkowski",
    )


def knn_graph(neighbors: Neighbors) -> Any:
    """Build the graph: `scaled`, float64 (n, f) → `probabilities`, float64 (n, classes)."""
    g = GraphBuilder()
    distances, index = nearest(g, neighbors)
    g.name_output(_vote(g, neighbors, distances, index), PROBABILITIES)
    count, f = neighbors.points.shape
    return g.model(
        f"knn of {count} points",
        {SCALED: (DOUBLE, ["rows", f])},
        {PROBABILITIES: (DOUBLE, ["rows", neighbors.classes])},
    )


def nearest(g: GraphBuilder, neighbors: Neighbors) -> tuple[str, str]:
    """Add the search: `scaled` → distances whose `root` is not yet taken, float64 (n, k), and indices, int64 (n, k)."""
    # The first constant of a graph: who serves it may look for it there.
    points = g.constant(neighbors.points, np.float64)
    if neighbors.metric == "cosine":
        return _nearest_by_angle(g, neighbors)
    if not neighbors.scored:
        return _nearest_row_by_row(g, neighbors, points, SCALED, k=neighbors.k)
    if len(neighbors.points) <= max(_DIRECT, neighbors.k + _SPARE):
        return _nearest_of_all(g, neighbors, points)
    return _nearest(g, neighbors, points)


def _distance(g: GraphBuilder, p: float, difference: str, axis: int) -> str:
    """Distance over the last axis of x − t, its root not yet taken: that waits until the neighbours are known."""
    if p == 1:
        return g.reduce_sum(g.node("Abs", difference), axis, keepdims=False)
    if p == np.inf:
        return g.node("ReduceMax", g.node("Abs", difference), g.constant([axis], np.int64), keepdims=0)
    if p != _SQUARES:
        powers = g.node("Pow", g.node("Abs", difference), g.scalar(p, np.float64))
        return g.reduce_sum(powers, axis, keepdims=False)
    return g.reduce_sum(g.node("Mul", difference, difference), axis, keepdims=False)


def _nearest_of_all(g: GraphBuilder, neighbors: Neighbors, points: str) -> tuple[str, str]:
    rows = g.node("Unsqueeze", SCALED, g.constant([1], np.int64))
    every = g.node("Unsqueeze", points, g.constant([0], np.int64))
    distances = _distance(g, neighbors.p, g.node("Sub", rows, every), 2)
    values, index = g.nodes("TopK", distances, g.constant([neighbors.k], np.int64), outputs=2, axis=1, largest=0)
    return values, index


def _nearest(g: GraphBuilder, neighbors: Neighbors, points: str) -> tuple[str, str]:
    """Distances (n, k), float64, and indices (n, k), int64, of the nearest training points."""
    count = neighbors.k + _SPARE
    score, floor = (_score_l1 if neighbors.p == 1 else _score_l2)(g, neighbors)
    # One more than there are candidates: the best of those left out.
    lowest, order = g.nodes("TopK", score, g.constant([count + 1], np.int64), outputs=2, axis=1, largest=0)
    zero, one, end = (g.constant([i], np.int64) for i in (0, 1, count))
    chosen = g.node("Slice", order, zero, end, one)
    # By index, so that among equal distances TopK finds the lowest index first.
    candidates, _ = g.nodes("TopK", chosen, end, outputs=2, axis=1, largest=0)
    left_out = g.node("Slice", lowest, end, g.constant([count + 1], np.int64), one)
    rows = g.node("Unsqueeze", SCALED, one)
    difference = g.node("Sub", rows, g.node("Gather", points, candidates, axis=0))
    distances = _distance(g, neighbors.p, difference, 2)
    k = g.constant([neighbors.k], np.int64)
    values, place = g.nodes("TopK", distances, k, outputs=2, axis=1, largest=0)
    index = g.node("GatherElements", candidates, place, axis=1)
    last = g.node("Slice", values, g.constant([neighbors.k - 1], np.int64), k, one)
    # Not "uncertain = bound < last": a NaN among the scores has to count as uncertain.
    certain = g.node("Greater", floor(left_out), last)
    return _search_again(g, neighbors, points, g.node("Not", certain), values, index)


def _score_l1(g: GraphBuilder, neighbors: Neighbors) -> tuple[str, Any]:
    """Score by L1 distances of points rounded to uint8, by Σ|x − t| = 2·Σmax(x, t) − Σx − Σt.

    All features share one step, because their differences are added up. Of every point and row the graph knows how
    far rounding moved it, so the score is a lower bound of the distance but for float32's own rounding.
    """
    points = neighbors.points
    f = points.shape[1]
    low = points.min(axis=0)
    step = max(float((points.max(axis=0) - low).max()) / _LEVELS, np.finfo(np.float64).tiny)
    codes = np.clip(np.rint((points - low) / step), 0, _LEVELS)
    moved = np.abs(points - low - codes * step).sum(axis=1)
    shifted = g.node("Sub", SCALED, g.constant(low, np.float64))
    steps = g.node("Div", shifted, g.scalar(step, np.float64))
    row = g.node("Clip", g.node("Round", steps), g.scalar(0, np.float64), g.scalar(_LEVELS, np.float64))
    columns = g.node("Unsqueeze", g.cast(row, UINT8), g.constant([-1], np.int64))
    ones = g.constant(np.ones((1, f)), np.uint8)
    sums = []
    for start in range(0, len(points), _CHUNK):
        chunk = g.constant(codes[start : start + _CHUNK].T[None], np.uint8)
        sums.append(g.node("MatMulInteger", ones, g.node("Max", columns, chunk)))
    total = g.node("Concat", *sums, axis=2) if len(sums) > 1 else sums[0]
    flat = g.cast(g.node("Squeeze", total, g.constant([1], np.int64)), FLOAT)
    offsets = -(codes.sum(axis=1) + moved / step) / 2
    score = g.node("Add", flat, g.constant(offsets[None], np.float32))
    row_moved = g.node("Abs", g.node("Sub", steps, row))
    row_part = g.sum_columns(g.node("Add", row, row_moved), f)
    # Rounding of the offsets and of the sum above, in units of the step, and room for that of float64.
    slack = 4 * f * _LEVELS * float(np.finfo(np.float32).eps)

    def floor(left_out: str) -> str:
        twice = g.node("Mul", g.cast(left_out, DOUBLE), g.scalar(2, np.float64))
        bound = g.node("Sub", g.node("Sub", twice, row_part), g.scalar(slack, np.float64))
        return g.node("Mul", bound, g.scalar(step, np.float64))

    return score, floor


def _score_l2(g: GraphBuilder, neighbors: Neighbors) -> tuple[str, Any]:
    """Score by ½‖t‖² − x·t in float32, centred on the points' mean; ‖x − t‖² is twice that plus ‖x‖².

    The error of a float32 product of f terms is at most (f + 2)·u·Σ|x_i·t_i| ≤ (f + 2)·u·‖x‖·‖t‖ [Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd edition, section 3.1], u being float32's unit roundoff; the rest is
    rounding of x, t and ½‖t‖².
    """
    centre = neighbors.points.mean(axis=0)
    points = neighbors.points - centre
    f = points.shape[1]
    squares = (points**2).sum(axis=1)
    largest = float(np.sqrt(squares.max()))
    centred = g.node("Sub", SCALED, g.constant(centre, np.float64))
    score = g.node(
        "Gemm",
        g.cast(centred, FLOAT),
        g.constant(-points.T, np.float32),
        g.constant(squares[None] / 2, np.float32),
    )
    square = g.sum_columns(g.node("Mul", centred, centred), f)
    u = float(np.finfo(np.float32).eps) / 2
    per_norm = (f + 8) * u * largest

    def floor(left_out: str) -> str:
        norms = g.node("Mul", g.node("Sqrt", square), g.scalar(per_norm, np.float64))
        slack = g.node("Add", norms, g.scalar((f + 8) * u * largest**2, np.float64))
        half = g.node("Sub", g.cast(left_out, DOUBLE), slack)
        return g.node("Add", g.node("Mul", half, g.scalar(2, np.float64)), square)

    return score, floor


def _search_again(
    g: GraphBuilder, neighbors: Neighbors, points: str, uncertain: str, values: str, index: str
) -> tuple[str, str]:
    """Search again in float64 for the uncertain rows."""
    where = g.node("Transpose", g.node("NonZero", g.node("Squeeze", uncertain, g.constant([1], np.int64))))
    again = g.node("GatherND", SCALED, where)
    searched = _nearest_row_by_row(g, neighbors, points, again, k=neighbors.k)
    return g.node("ScatterND", values, where, searched[0]), g.node("ScatterND", index, where, searched[1])


def _nearest_by_angle(g: GraphBuilder, neighbors: Neighbors) -> tuple[str, str]:
    """Search by 1 − cos, one product of rows and points of length one; a length of zero stays zero."""
    norms = np.linalg.norm(neighbors.points, axis=1, keepdims=True)
    units = neighbors.points / np.where(norms == 0, 1, norms)
    norm = g.node("Sqrt", g.reduce_sum(g.node("Mul", SCALED, SCALED), 1))
    zero = g.node("Equal", norm, g.scalar(0, np.float64))
    rows = g.node("Div", SCALED, g.node("Where", zero, g.scalar(1, np.float64), norm))
    cosines = g.node("MatMul", rows, g.constant(units.T, np.float64))
    distances = g.node("Sub", g.scalar(1, np.float64), cosines)
    bounded = g.node("Clip", distances, g.scalar(0, np.float64), g.scalar(2, np.float64))
    values, index = g.nodes("TopK", bounded, g.constant([neighbors.k], np.int64), outputs=2, axis=1, largest=0)
    return values, index


def _nearest_row_by_row(g: GraphBuilder, neighbors: Neighbors, points: str, again: str, *, k: int) -> tuple[str, str]:
    """Search all training points in float64, one row at a time so that memory stays that of one row."""
    trips = g.node("Squeeze", g.node("Slice", g.node("Shape", again), *(g.constant([i], np.int64) for i in (0, 1))))
    body = GraphBuilder("again_")
    row = body.node("Gather", again, "trip", axis=0)
    distances = _distance(body, neighbors.p, body.node("Sub", row, points), 1)
    found, place = body.nodes("TopK", distances, body.constant([k], np.int64), outputs=2, axis=0, largest=0)
    for value, name in ((found, "again_values"), (place, "again_index"), ("more", "again_more")):
        body.name_output(value, name)
    loop = body.graph(
        "again",
        {"trip": (INT64, []), "more": (9, [])},
        {"again_more": (9, []), "again_values": (DOUBLE, [k]), "again_index": (INT64, [k])},
    )
    values, index = g.nodes("Loop", trips, g.scalar(True, np.bool_), outputs=2, body=loop)
    return values, index


def root(g: GraphBuilder, neighbors: Neighbors, distances: str) -> str:
    """Return the distances themselves."""
    if neighbors.metric != "minkowski" or neighbors.p in {1, np.inf}:
        return distances
    if neighbors.p == _SQUARES:
        return g.node("Sqrt", distances)
    return g.node("Pow", distances, g.scalar(1 / neighbors.p, np.float64))


def _vote(g: GraphBuilder, neighbors: Neighbors, distances: str, index: str) -> str:
    """Weigh the neighbours' classes as scikit-learn does: a distance of zero takes all the weight there is."""
    one_hot = g.constant(np.eye(neighbors.classes)[neighbors.labels], np.float64)
    votes = g.node("Gather", one_hot, index, axis=0)
    if neighbors.distance_weights:
        distance = root(g, neighbors, distances)
        weights = g.node("Reciprocal", distance)
        # A reciprocal overflows for denormal distances too, and scikit-learn asks for infinity, not for zero.
        infinite = g.cast(g.node("IsInf", weights), DOUBLE)
        any_infinite = g.node("ReduceMax", infinite, g.constant([1], np.int64), keepdims=1)
        weights = g.node("Where", g.cast(any_infinite, 9), infinite, weights)
        votes = g.node("Mul", votes, g.node("Unsqueeze", weights, g.constant([2], np.int64)))
    summed = g.reduce_sum(votes, 1, keepdims=False)
    return g.node("Div", summed, g.reduce_sum(summed, 1))
