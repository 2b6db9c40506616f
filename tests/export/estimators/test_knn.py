"""The KNN graph against scikit-learn: every search path, zero distances, ties."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

from genrestack_export.converters.nearest.knn import _DIRECT, knn_graph, read_knn
from genrestack_export.parity.rows import tied_rows

Rows = npt.NDArray[np.float64]


def run(estimator: Any, rows: Rows) -> Rows:
    """Answer rows by the graph."""
    session = ort.InferenceSession(
        knn_graph(read_knn("knn", estimator)).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(["probabilities"], {"scaled": rows})[0])


def fit(points: Rows, labels: npt.NDArray[np.int64], **parameters: Any) -> Any:
    """Fit scikit-learn's KNN by brute force, whose choice among near-equal distances is the plainest."""
    return KNeighborsClassifier(**{"algorithm": "brute"} | parameters).fit(points, labels)


def points_of(count: int, features: int, seed: int = 0) -> tuple[Rows, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 4
    return rng.normal(size=(4, features))[labels] + rng.normal(size=(count, features)), labels


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("neighbors", [1, 2, 5, 40])
# Below and above the direct search, one step of the score, and several with a short last one.
@pytest.mark.parametrize("count", [60, _DIRECT + 1, 700, 2500])
def test_equals_scikit_learn(p: int, weights: str, neighbors: int, count: int) -> None:
    points, labels = points_of(count, 12)
    estimator = fit(points, labels, n_neighbors=neighbors, weights=weights, p=p)
    rows = points_of(80, 12, seed=1)[0]
    tied = tied_rows({"knn": estimator}, rows)
    assert not tied.any()
    np.testing.assert_allclose(run(estimator, rows), estimator.predict_proba(rows), rtol=0, atol=1e-9)


@pytest.mark.parametrize("p", [1, 2])
def test_rows_far_outside_are_searched_again_and_right(p: int) -> None:
    points, labels = points_of(1500, 6)
    estimator = fit(points, labels, n_neighbors=3, weights="distance", p=p)
    rows = points_of(40, 6, seed=2)[0] * np.geomspace(1, 1e6, 40)[:, None]
    rows = np.concatenate([rows, [[1e38] * 6, [-1e38, 1e38, 0, 0, 0, 0]]])
    tied = tied_rows({"knn": estimator}, rows)
    found, expected = run(estimator, rows), estimator.predict_proba(rows)
    np.testing.assert_allclose(found[~tied], expected[~tied], rtol=0, atol=1e-6)
    assert np.isfinite(found).all()


def exact_vote(points: Rows, labels: npt.NDArray[np.int64], rows: Rows, *, k: int, p: int) -> Rows:
    """Weigh the k nearest by inverse distances, summed over differences, so that a copy is at exactly 0."""
    distances = cdist(rows, points, "minkowski", p=p)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(distances, nearest, axis=1)
    copies = kept == 0
    weights = np.where(copies.any(axis=1, keepdims=True), copies, 1 / np.where(copies, 1.0, kept))
    votes = np.stack([(weights * (labels[nearest] == c)).sum(axis=1) for c in range(labels.max() + 1)], axis=1)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def most_a_copy_gives_away(points: Rows, row: Rows, *, k: int) -> float:
    """Bound the share of the vote that scikit-learn leaves to others than the row's own copies, Euclidean.

    It computes |x - t|² as |x|² - 2 x·t + |t|², three sums of f products each. For a copy they cancel, and what
    rounding leaves, at most (f + 2) ε (|x| + |t|)², has a root that is not zero: some 1e-8, by the order in which this
    machine's BLAS adds up. A copy then weighs the inverse of that, and each other neighbour the inverse of its own
    distance.
    """
    distances = np.sort(cdist(row[None], points)[0])
    copies = int((distances == 0).sum())
    others = distances[copies : max(k, copies)]
    rounding = (len(row) + 2) * np.finfo(np.float64).eps * (2 * np.linalg.norm(row)) ** 2
    return float((np.sqrt(rounding) / others).sum())


@pytest.mark.parametrize("p", [1, 2])
def test_a_distance_of_zero_takes_all_the_weight(p: int) -> None:
    points, labels = points_of(900, 5)
    points[10:14] = points[10]
    labels[10:14] = [0, 1, 1, 3]
    estimator = fit(points, labels, n_neighbors=4, weights="distance", p=p)
    rows = np.concatenate([points[[10, 20, 30]], points_of(5, 5, seed=3)[0]])
    found = run(estimator, rows)
    np.testing.assert_allclose(found, exact_vote(points, labels, rows, k=4, p=p), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found[0], [0.25, 0.5, 0.0, 0.25])
    np.testing.assert_array_equal(found[1:3], np.eye(4)[labels[[20, 30]]])
    answered = estimator.predict_proba(rows)
    np.testing.assert_allclose(found[3:], answered[3:], rtol=0, atol=1e-9)
    given_away = [0.0, 0.0] if p == 1 else [most_a_copy_gives_away(points, points[i], k=4) for i in (20, 30)]
    assert (np.abs(found - answered)[1:3].max(axis=1) <= given_away).all()
    assert max(given_away) < 1e-6
    # Which of several copies scikit-learn finds the nearest is rounding as well, but never another point.
    assert answered[0, 2] == 0


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("count", [64, 900])
def test_among_equal_distances_the_lowest_index_wins(p: int, count: int) -> None:
    # Two far groups of copies: within each, all distances are equal.
    points = np.repeat(np.array([[0.0, 0.0], [8.0, 8.0]]), count // 2, axis=0)
    labels = np.arange(count, dtype=np.int64) % 3
    estimator = fit(points, labels, n_neighbors=2, p=p)
    row = np.array([[1.0, 1.0]])
    assert tied_rows({"knn": estimator}, row).all()
    np.testing.assert_array_equal(run(estimator, row), [[0.5, 0.5, 0.0]])


def test_equal_distances_of_one_class_are_no_tie() -> None:
    points = np.array([[0.0], [2.0], [2.0], [9.0]])
    estimator = fit(points, np.array([0, 1, 1, 0]), n_neighbors=2, p=1)
    assert not tied_rows({"knn": estimator}, np.array([[0.9], [0.5]])).any()


def test_a_tie_beyond_the_next_neighbour_is_seen() -> None:
    # The second and third neighbour are of one class, but the fourth, at the same distance, is not.
    points = np.array([[0.0], [2.0], [2.0], [2.0]])
    estimator = fit(points, np.array([0, 1, 1, 0]), n_neighbors=2, p=1)
    assert tied_rows({"knn": estimator}, np.array([[0.9]])).all()


def test_an_answer_does_not_depend_on_its_batch() -> None:
    points, labels = points_of(1500, 9)
    estimator = fit(points, labels, n_neighbors=2, weights="distance", p=1)
    rows = points_of(70, 9, seed=5)[0]
    together = run(estimator, rows)
    alone = np.concatenate([run(estimator, row[None]) for row in rows[:10]])
    np.testing.assert_array_equal(together[:10], alone)


@pytest.mark.parametrize("p", [1, 2])
def test_constant_features_and_one_value_only(p: int) -> None:
    points, labels = points_of(400, 3)
    points[:, 1] = 5.0
    estimator = fit(points, labels, n_neighbors=3, p=p)
    rows = points_of(20, 3, seed=6)[0]
    np.testing.assert_allclose(run(estimator, rows), estimator.predict_proba(rows), atol=1e-12)
    same = fit(np.full((300, 2), 3.0), np.zeros(300, dtype=np.int64), n_neighbors=3, p=p)
    np.testing.assert_array_equal(run(same, np.array([[3.0, 3.0], [1.0, 7.0]])), [[1.0], [1.0]])
