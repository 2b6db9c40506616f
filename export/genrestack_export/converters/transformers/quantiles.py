"""`QuantileTransformer` as a graph: a search among each column's quantiles, then the interpolations of scikit-learn."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from genrestack_export.onnx_graph.builder import FLOAT, INT64, GraphBuilder
from genrestack_export.onnx_graph.math import normal_quantile

Matrix = npt.NDArray[np.float64]

# scikit-learn's BOUNDS_THRESHOLD: values this close to the ends, in the feature's own unit, count as beyond them.
_THRESHOLD = 1e-7


def quantile_transform(g: GraphBuilder, scaler: Any, rows: str) -> str:
    """Add the transform of a fitted `QuantileTransformer`, uniform or normal: float64 (n, f) → float64 (n, f).

    scikit-learn interpolates twice, once from below and once from above, and takes the mean, so that a value that many
    training rows share lands in the middle of its quantiles. Both are repeated here operation by operation.
    """
    quantiles = np.asarray(scaler.quantiles_, dtype=np.float64).T
    references = np.asarray(scaler.references_, dtype=np.float64)
    below = _interpolate(g, rows, _count(g, rows, quantiles, "GreaterOrEqual"), _from_below(quantiles, references))
    above = _interpolate(g, rows, _count(g, rows, quantiles, "Greater"), _from_above(quantiles, references))
    # The second is scikit-learn's with its sign turned around already.
    uniform = g.node("Mul", g.scalar(0.5, np.float64), g.node("Add", below, above))
    normal = scaler.output_distribution == "normal"
    uniform = _ends(g, rows, uniform, quantiles, threshold=_THRESHOLD if normal else None)
    return _normal(g, uniform) if normal else uniform


def _count(g: GraphBuilder, rows: str, quantiles: Matrix, comparison: str) -> str:
    """Count the column's quantiles that are below each value (or equal to it), int64 (n, f).

    Two searches of √q comparisons each: which block of quantiles it is, and where in the block.
    """
    columns, q = quantiles.shape
    block = math.isqrt(q - 1) + 1
    blocks = -(-q // block)
    padded = np.full((columns, blocks * block), np.inf)
    padded[:, :q] = quantiles
    table = padded.reshape(columns * blocks, block)
    value = g.once(("column", rows), lambda: g.node("Unsqueeze", rows, g.constant([2], np.int64)))
    lasts = g.constant(padded.reshape(columns, blocks, block)[None, :, :, -1], np.float64)
    full = g.node("Min", _how_many(g, g.node(comparison, value, lasts), blocks), g.scalar(blocks - 1, np.int64))
    first = g.constant(np.arange(columns)[None] * blocks, np.int64)
    chosen = g.node("Gather", g.constant(table, np.float64), g.node("Add", full, first), axis=0)
    within = _how_many(g, g.node(comparison, value, chosen), block)
    return g.node("Add", g.node("Mul", full, g.scalar(block, np.int64)), within)


def _how_many(g: GraphBuilder, flags: str, width: int) -> str:
    """Count the true ones along the last axis; as a product with ones, much quicker than `ReduceSum`."""
    counted = g.node("MatMul", g.cast(flags, FLOAT), g.constant(np.ones((width, 1)), np.float32))
    return g.cast(g.node("Squeeze", counted, g.constant([2], np.int64)), INT64)


def _from_below(quantiles: Matrix, references: Matrix) -> Matrix:
    """Slope, place and value to go on from, for each count of quantiles at or below: (f, q + 1, 3)."""
    return _lines(quantiles, quantiles[:, :-1], references[:-1], references)


def _from_above(quantiles: Matrix, references: Matrix) -> Matrix:
    """Return the same for each count of quantiles strictly below, going on from the quantile above."""
    return _lines(quantiles, quantiles[:, 1:], references[1:], references)


def _lines(quantiles: Matrix, places: Matrix, values: Matrix, references: Matrix) -> Matrix:
    columns, q = quantiles.shape
    lines = np.zeros((columns, q + 1, 3))
    # Before the first quantile and behind the last the line is level.
    lines[:, 0, 2], lines[:, q, 2] = references[0], references[-1]
    steps = np.diff(quantiles, axis=1)
    # No value lies between two quantiles that are equal.
    slopes = np.divide(np.diff(references)[None], steps, out=np.zeros_like(steps), where=steps > 0)
    lines[:, 1:q, 0], lines[:, 1:q, 1], lines[:, 1:q, 2] = slopes, places, values
    return lines


def _interpolate(g: GraphBuilder, rows: str, count: str, lines: Matrix) -> str:
    columns, counts, _ = lines.shape
    first = g.constant(np.arange(columns)[None] * counts, np.int64)
    line = g.node("Gather", g.constant(lines.reshape(-1, 3), np.float64), g.node("Add", count, first), axis=0)
    last = g.constant([2], np.int64)
    slope, place, value = (
        g.node("Squeeze", part, last) for part in g.nodes("Split", line, outputs=3, axis=2, num_outputs=3)
    )
    return g.node("Add", g.node("Mul", slope, g.node("Sub", rows, place)), value)


def _ends(g: GraphBuilder, rows: str, uniform: str, quantiles: Matrix, *, threshold: float | None) -> str:
    """Set what lies at or beyond a column's ends to 1 and 0; where both hold, 0."""
    lowest, highest = g.constant(quantiles[None, :, 0], np.float64), g.constant(quantiles[None, :, -1], np.float64)
    if threshold is None:
        high, low = g.node("Equal", rows, highest), g.node("Equal", rows, lowest)
    else:
        margin = g.scalar(threshold, np.float64)
        high = g.node("Greater", g.node("Add", rows, margin), highest)
        low = g.node("Less", g.node("Sub", rows, margin), lowest)
    zero, one = g.scalar(0, np.float64), g.scalar(1, np.float64)
    return g.node("Where", low, zero, g.node("Where", high, one, uniform))


def _normal(g: GraphBuilder, uniform: str) -> str:
    """Turn probabilities into normal quantiles within scikit-learn's own limits."""
    least = _THRESHOLD - np.spacing(1)
    # The ends are SciPy's own numbers; in between the probabilities are clipped so that none is 0 or 1.
    limits = (g.scalar(float(stats.norm.ppf(p)), np.float64) for p in (least, 1 - least))
    clipped = g.node("Clip", uniform, g.scalar(least, np.float64), g.scalar(1 - least, np.float64))
    return g.node("Clip", normal_quantile(g, clipped), *limits)
