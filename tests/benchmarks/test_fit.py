"""What a comparison of trainings says, and what its floor is made of."""

from typing import Any

import numpy as np
import pytest

from benchmarks.fit import compare, same
from benchmarks.training.floor import floor_seconds, products, steps


def training(seconds: float, accuracy: float, svc: float = 0.5) -> dict[str, Any]:
    arrays = {part: np.ones(3) for part in ("rows", "knn", "support", "weights")}
    return {
        "rows": 100, "fit_seconds": seconds, "whole_seconds": seconds + 10, "accuracy": accuracy, "peak_mb": 900.0,
        "arrays": {**arrays, "svc": np.full(3, svc)},
    }  # fmt: skip


def test_what_a_comparison_says() -> None:
    taken = [
        {"notebook": training(200, 0.960), "genrestack": training(40, 0.962)},
        {"notebook": training(100, 0.970), "genrestack": training(35, 0.966)},
    ]
    fit, whole, floor, accuracy, equal, memory = compare(taken, (20.0, 10.0))
    assert (fit.value, fit.ratio, fit.met, fit.note) == (37.5, 4.0, True, "by seed: 5.00, 2.86")
    assert whole.ratio == pytest.approx(160 / 47.5)
    assert floor.value == 1.25
    assert accuracy.value == pytest.approx(0.1)
    assert (equal.value, equal.met, memory.met) == (2, True, True)


def test_one_bit_of_difference_is_one() -> None:
    row = {"notebook": training(1, 1), "genrestack": training(1, 1, svc=np.nextafter(0.5, 1))}
    assert not same(row)
    assert compare([row], (1.0, 1.0))[4].met is False


def test_products_are_those_of_backpropagation() -> None:
    assert products((4, 3, 2), 8) == [(8, 4, 3), (8, 3, 2), (4, 8, 3), (3, 8, 2), (8, 2, 3)]
    # One fit on all rows and five on four fifths of them; a last batch may be smaller.
    assert steps(100, 5, 10, 64) == (2 + 5 * 2) * 10
    assert floor_seconds((4, 3, 2), 8, 1000, 2) > 0
