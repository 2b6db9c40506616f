"""The native nearest neighbours against numpy and scikit-learn, by every instruction set of this processor."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bundle.native.reference import Case, Rows, rows_of, scattered, whole
from sklearn.neighbors import KNeighborsClassifier

from genrestack_bundle.native.library import instruction_sets, missing

SETS = () if missing() else instruction_sets()
every_set = pytest.mark.parametrize("instructions", SETS)
both_distances = pytest.mark.parametrize("p", [1, 2])
both_weights = pytest.mark.parametrize("by_distance", [False, True])


def found(case: Case, rows: Rows, instructions: str | None = None) -> Rows:
    with case.index(instructions) as index:
        return index.predict_proba(rows)


def drawn(seed: int, count: int, features: int, neighbors: int, p: int, *, by_distance: bool = True) -> Case:
    rng = np.random.default_rng(seed)
    return Case(scattered(rng, count, features), rng.integers(0, 4, count), neighbors, p, by_distance)


def test_there_is_a_set_that_every_such_processor_has() -> None:
    assert SETS[-1] in {"sse2", "neon"}


@both_distances
@both_weights
@pytest.mark.parametrize(
    ("count", "features"), [(1, 1), (7, 3), (33, 8), (64, 9), (65, 64), (500, 57), (1500, 300), (4100, 57), (9000, 5)]
)
def test_equals_numpy(p: int, by_distance: bool, count: int, features: int) -> None:
    for neighbors in sorted({1, min(2, count), min(20, count), max(1, count // 5), count}):
        case = drawn(count, count, features, neighbors, p, by_distance=by_distance)
        rows = rows_of(np.random.default_rng(1), case.points, 25)
        decided = case.decided(rows)
        assert decided.mean() > 0.5
        expected = case.answer(rows)[decided]
        for instructions in SETS:
            np.testing.assert_allclose(found(case, rows, instructions)[decided], expected, rtol=0, atol=1e-9)


@every_set
@both_distances
@both_weights
@pytest.mark.parametrize("neighbors", [1, 3, 20, 400])
def test_ties_go_to_the_lowest_index(instructions: str, p: int, by_distance: bool, neighbors: int) -> None:
    rng = np.random.default_rng(neighbors)
    for features in (1, 3, 6):
        points = whole(rng, 2000, features)
        case = Case(points, rng.integers(0, 4, len(points)), neighbors, p, by_distance)
        rows = np.concatenate([points[:20], whole(rng, 20, features, levels=8)])
        np.testing.assert_allclose(found(case, rows, instructions), case.answer(rows), rtol=0, atol=1e-12)


@every_set
@both_distances
def test_all_points_alike(instructions: str, p: int) -> None:
    points = np.full((3000, 9), 0.1)
    case = Case(points, np.arange(3000) // 3 % 4, 5, p, by_distance=True)
    rows = np.array([points[0], points[0] + 1])
    expected = np.tile([0.6, 0.4, 0, 0], (2, 1))
    np.testing.assert_allclose(found(case, rows, instructions), expected, rtol=0, atol=1e-12)


@both_distances
@both_weights
@pytest.mark.parametrize("neighbors", [1, 2, 7, 60])
def test_equals_scikit_learn(p: int, by_distance: bool, neighbors: int) -> None:
    case = drawn(3, 2500, 12, neighbors, p, by_distance=by_distance)
    estimator = KNeighborsClassifier(
        neighbors, weights="distance" if by_distance else "uniform", p=p, algorithm="brute"
    ).fit(case.points, case.labels)
    rows = scattered(np.random.default_rng(4), 200, 12)
    rows[:20] = case.points[:20]
    decided = case.decided(rows)
    # scikit-learn expands the squares of p = 2, and is off by that.
    expected = estimator.predict_proba(rows)[decided]
    np.testing.assert_allclose(found(case, rows)[decided], expected, rtol=0, atol=1e-5)


@every_set
@both_distances
@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-160, 1e150, 1e300])
def test_very_small_and_very_large_values(instructions: str, p: int, scale: float) -> None:
    """Differences are denormal, their squares vanish or overflow: what numpy makes of that is the answer."""
    rng = np.random.default_rng(5)
    points = whole(rng, 1000, 4, levels=100) * scale
    case = Case(points, rng.integers(0, 4, len(points)), 3, p, by_distance=True)
    rows = np.concatenate([points[:10], whole(rng, 30, 4, levels=120) * scale])
    np.testing.assert_allclose(found(case, rows, instructions), case.answer(rows), rtol=0, atol=1e-9)


@both_distances
def test_ranges_beyond_all_numbers(p: int) -> None:
    points = np.array([[-1.7e308, 0.0], [1.7e308, 1.0], [0.0, 2.0]] * 40)
    case = Case(points, np.arange(120) % 3, 2, p, by_distance=False)
    rows = np.array([[0.0, 0.0], [1.6e308, 0.0], [-1.6e308, 5.0]])
    np.testing.assert_array_equal(found(case, rows), case.answer(rows))


@both_distances
@both_weights
def test_rows_that_are_no_numbers(p: int, by_distance: bool) -> None:
    """Infinity is equally far from all; a NaN has no distance, and the first points answer for it."""
    case = drawn(6, 400, 3, 5, p, by_distance=by_distance)
    rows = np.array([[np.inf, 0, 0], [-np.inf, np.inf, 0], [np.nan, 0, 0], [0.1, 0, 0]])
    answer = found(case, rows)
    np.testing.assert_array_equal(answer[:3], case.answer(rows)[:3])
    np.testing.assert_allclose(answer[3], case.answer(rows)[3], atol=1e-9)


@both_distances
@both_weights
def test_every_set_answers_the_same_to_the_last_bit(p: int, by_distance: bool) -> None:
    for features in (1, 57, 64, 130):
        case = drawn(7, 5000, features, 9, p, by_distance=by_distance)
        rows = rows_of(np.random.default_rng(8), case.points, 40)
        answers = {found(case, rows, instructions).tobytes() for instructions in SETS}
        assert len(answers) == 1


@both_distances
def test_rows_are_answered_alike_in_every_company(p: int) -> None:
    case = drawn(9, 6000, 57, 4, p)
    rows = rows_of(np.random.default_rng(10), case.points, 256)
    with case.index() as index:
        together = index.predict_proba(rows)
        alone = np.concatenate([index.predict_proba(row[None]) for row in rows])
        assert alone.tobytes() == together.tobytes()
        for size in range(1, 257, 15):
            assert index.predict_proba(rows[:size]).tobytes() == together[:size].tobytes()
        assert index.predict_proba(rows[:0]).shape == (0, 4)


def test_many_threads_on_one_index() -> None:
    case = drawn(11, 4000, 20, 3, 1)
    rows = rows_of(np.random.default_rng(12), case.points, 64)
    started = threading.Barrier(8)
    with case.index() as index, ThreadPoolExecutor(8) as pool:
        alone = index.predict_proba(rows)

        def ask(_: int) -> bool:
            started.wait()
            return all(index.predict_proba(rows).tobytes() == alone.tobytes() for _ in range(20))

        assert all(pool.map(ask, range(8)))


@both_distances
def test_few_distances_are_computed(p: int) -> None:
    """The scores leave so few candidates that they are worth their name."""
    case = drawn(13, 20000, 57, 5, p)
    rows = scattered(np.random.default_rng(13), 100, 57)
    with case.index() as index:
        index.predict_proba(rows)
        assert 5 * 100 <= index.exact_distances < 500 * 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"neighbors": 0}, {"neighbors": 51}, {"p": 3}, {"classes": 2}, {"instructions": "mmx"},
        {"points": np.full((50, 3), np.nan)}, {"points": np.zeros((50, 0))}, {"labels": np.zeros(49, np.int64)},
        {"labels": np.full(50, -1)},
    ],
)  # fmt: skip
def test_what_does_not_fit_together(wrong: dict[str, object]) -> None:
    from genrestack_bundle.native.knn_index import KnnIndex

    right = {"points": np.zeros((50, 3)), "labels": np.arange(50) % 4, "neighbors": 3, "classes": 4, "p": 1}
    with pytest.raises(ValueError, match=r"do not fit|does not have these instructions"):
        KnnIndex(**{**right, **wrong}, by_distance=True)  # type: ignore[arg-type]
