"""A running median along one axis: exact, compiled by numba, and made of minima and maxima only.

The axis is cut into blocks as long as the window. A window that begins inside a block is the end of that block and the
beginning of the next one, so its values are those of one sorted block end and one sorted block beginning. Both are
grown value by value, and the median of the two sorted runs A and B together is the least of max(A[i], B[k − i]), where
k is its rank and index 0 stands for −∞. (The blocks are van Herk's, 1992, for running maxima; the order statistic of
two sorted runs is textbook knowledge.) A few columns are worked on at once, so that a processor's vector instructions
take each step for all of them.
"""

import numpy as np
from numba import njit

_LANES = 32
"""Columns worked on at once: their sorted runs are small enough for a core's cache."""


def running_median(values: np.ndarray, width: int) -> np.ndarray:
    """Compute the median of `width` neighbours around each value along axis 0; edges are mirrored.

    Equal, value by value, to `scipy.ndimage.median_filter(values, size=(width, 1), mode="reflect")`,
    which reads memory that is not its own where n is 2.

    Args:
        values: floating, shape (n, m); finite.
        width: odd, at least 1.

    Returns:
        Same shape and dtype as `values`.

    """
    result = np.empty_like(values)
    _fill_medians(values, width, result)
    return result


@njit(cache=True)  # type: ignore[untyped-decorator]  # numba has no types
def _fill_medians(values: np.ndarray, width: int, result: np.ndarray) -> None:
    """Fill `result` with the medians of `values`, both of shape (n, m)."""
    rows, columns = values.shape
    half = width // 2
    blocks = -(-rows // width)
    # What is filled in after the mirrored edge is never looked at.
    tile = np.zeros(((blocks + 1) * width, _LANES), values.dtype)
    # Sorted runs by size; rank 0 stands for −∞, and a rank that a run does not have for ∞.
    ends = np.full((width + 1, half + 2, _LANES), np.inf, values.dtype)
    ends[:, 0] = -np.inf
    beginning = np.empty((half + 2, _LANES), values.dtype)
    least = np.empty(_LANES, values.dtype)
    for start in range(0, columns, _LANES):
        lanes = min(_LANES, columns - start)
        for row in range(len(tile)):
            source = (row - half) % (2 * rows)
            source = min(source, 2 * rows - 1 - source)
            for lane in range(lanes):
                tile[row, lane] = values[source, start + lane]
        for first in range(0, rows, width):
            for size in range(1, width + 1):
                _insert(ends[size - 1], ends[size], tile[first + width - size], size, half)
            beginning[:] = np.inf
            beginning[0] = -np.inf
            for offset in range(min(width, rows - first)):
                if offset:
                    _insert(beginning, beginning, tile[first + width + offset - 1], offset, half)
                _select(ends[width - offset], beginning, offset, half, least)
                result[first + offset, start : start + lanes] = least[:lanes]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _insert(run: np.ndarray, longer: np.ndarray, value: np.ndarray, size: int, half: int) -> None:
    """Insert a value into a sorted run, which then has `size` of them; ranks that no median can need are left out."""
    for rank in range(min(size, half + 1), max(1, size - half) - 1, -1):
        for lane in range(_LANES):
            pushed = min(run[rank, lane], value[lane])
            longer[rank, lane] = max(run[rank - 1, lane], pushed)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _select(end: np.ndarray, beginning: np.ndarray, offset: int, half: int, least: np.ndarray) -> None:
    """Fill `least` with the middle of an end and of a beginning of `offset` values, together as many as a window."""
    least[:] = np.inf
    for rank in range(max(0, half + 1 - offset), min(half + 1, 2 * half + 1 - offset) + 1):
        for lane in range(_LANES):
            least[lane] = min(least[lane], max(end[rank, lane], beginning[half + 1 - rank, lane]))
