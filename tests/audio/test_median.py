"""The running median equals scipy's, value by value."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from genrestack_audio.features.median import running_median


@pytest.mark.parametrize("width", [1, 3, 31])
@pytest.mark.parametrize("shape", [(1, 3), (3, 5), (30, 7), (31, 2), (32, 4), (130, 1025), (1025, 19), (700, 1)])
def test_equals_scipy(shape: tuple[int, int], width: int) -> None:
    rng = np.random.default_rng(shape[0])
    values = rng.exponential(size=shape).astype(np.float32)
    # Ties and zeros, as in silence.
    values[rng.random(shape) < 0.3] = 0
    values[rng.random(shape) < 0.2] = 1
    expected = median_filter(values, size=(width, 1), mode="reflect")
    result = running_median(values, width)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)


def test_double_precision_is_kept() -> None:
    values = np.random.default_rng(0).normal(size=(64, 3))
    np.testing.assert_array_equal(running_median(values, 31), median_filter(values, size=(31, 1), mode="reflect"))
