"""What the benchmark of nearest neighbours compares."""

import numpy as np
import pytest
from support.tools import need

from benchmarks.neighbors import TARGET, compare, contestants_on, made
from genrestack_bundle.native.library import missing


@pytest.fixture(autouse=True)
def _compiled() -> None:
    need(not missing(), "the native operators (make setup with gcc)")


@pytest.mark.parametrize("p", [1, 2])
def test_all_three_answer_the_same(p: int) -> None:
    points, labels, rows = made(1500)
    assert (points.min(), points.max()) == (0, 1)
    ours, sklearn, graph = (answer(rows[:100]) for answer in contestants_on(points, labels, p).values())
    np.testing.assert_allclose(ours, graph, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours, sklearn, rtol=0, atol=1e-6)


def test_each_is_compared_with_both() -> None:
    figures = compare(300, 1, 1)
    assert [figure.name for figure in figures] == [
        *["300 points, Manhattan, 1 row"] * 2,
        *["300 points, Manhattan, 256 rows"] * 2,
    ]
    assert [figure.baseline and figure.baseline.name for figure in figures] == ["scikit-learn", "exported graph"] * 2
    assert all(figure.ratio and figure.ratio > 0 and not figure.target for figure in figures)
    assert TARGET[1, 100_000, 256] == 20
