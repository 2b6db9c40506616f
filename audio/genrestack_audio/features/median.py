"""A running median along one axis: exact, and made of whole-array minima and maxima only.

The axis is cut into blocks as long as the window. A window that begins inside a block is the end of that block and the
beginning of the next one, so its values are those of one sorted block end and one sorted block beginning. Both are
grown value by value, each insertion serving every block and every column at once, and the median of the two sorted
runs A and B together is the least of max(A[i], B[k − i]), where k is its rank and index 0 stands for −∞. (The blocks
are van Herk's, 1992, for running maxima; the order statistic of two sorted runs is textbook knowledge.)
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np

_Values = np.ndarray[Any, np.dtype[np.floating[Any]]]
_Run = dict[int, _Values]

_CHUNK = 1 << 13
"""Values of each sorted rank worked on at once: small enough for a core's cache."""


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
    rows, columns = values.shape
    half = width // 2
    blocks = -(-rows // width)
    padded = np.pad(values, ((half, half), (0, 0)), mode="symmetric")
    # The last block holds the rest of the mirrored edge; what is filled in after it is never looked at.
    padded = np.pad(padded, ((0, (blocks + 1) * width - len(padded)), (0, 0)))
    padded = padded.reshape(blocks + 1, width, columns)
    result = np.empty((blocks, width, columns), dtype=values.dtype)
    step = max(1, _CHUNK // blocks)
    for start in range(0, columns, step):
        _medians(padded[..., start : start + step], result[..., start : start + step])
    return result.reshape(blocks * width, columns)[:rows]


def _medians(blocks: np.ndarray, result: np.ndarray) -> None:
    """Fill `result`, shape (b, width, m), from `blocks`, shape (b + 1, width, m)."""
    width = blocks.shape[1]
    # Block ends, read backwards, and the beginnings of the blocks after them: one array, grown in one go.
    values = np.stack([blocks[:-1, ::-1], blocks[1:]]).transpose(2, 0, 1, 3)
    runs = list(_sorted_runs(np.ascontiguousarray(values)))
    for offset in range(width):
        ends = {rank: run[0] for rank, run in runs[width - offset].items()}
        beginnings = {rank: run[1] for rank, run in runs[offset].items()}
        result[:, offset] = _ranked(ends, beginnings, width // 2 + 1)


def _sorted_runs(values: np.ndarray) -> Iterator[_Run]:
    """Yield the first 0, 1, 2 … values sorted, as rank → values; ranks that no median can need are dropped."""
    width = len(values)
    half = width // 2
    run: _Run = {}
    yield run
    for size, value in enumerate(values, start=1):
        run = {rank: _inserted(run, rank, value) for rank in range(max(1, size - half), min(size, half + 1) + 1)}
        yield run


def _inserted(run: _Run, rank: int, value: _Values) -> _Values:
    """Return what stands at `rank` once `value` is inserted into the sorted `run`."""
    pushed = np.minimum(run[rank], value) if rank in run else value
    return np.maximum(run[rank - 1], pushed) if rank - 1 in run else pushed


def _ranked(ends: _Run, beginnings: _Run, rank: int) -> _Values:
    """Return what stands at `rank` among the values of two sorted runs."""
    pairs = [np.maximum(ends[i], beginnings[rank - i]) for i in ends if rank - i in beginnings]
    return reduce(np.minimum, [run[rank] for run in (ends, beginnings) if rank in run] + pairs)
