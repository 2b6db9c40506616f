"""`GainNormalizer` as a graph, operation by operation."""

import numpy as np

from genrestack_export.gain import SILENCE, GainNormalizer
from genrestack_export.onnx_graph.builder import GraphBuilder


def gain_normalizer(g: GraphBuilder, step: GainNormalizer, rows: str) -> str:
    """Add the transform of a fitted `GainNormalizer`: float64 (n, f) → float64 (n, f)."""
    one, zero = g.scalar(1, np.float64), g.scalar(0, np.float64)
    level = g.node("Gather", rows, g.constant([step.reference_], np.int64), axis=1)
    gain = g.node("Where", g.node("LessOrEqual", level, g.scalar(SILENCE, np.float64)), one, level)
    first, second = (g.node("Where", g.constant((step.powers_ > least)[None], np.bool_), gain, one) for least in (0, 1))
    divided = g.node("Div", rows, g.node("Mul", first, second))
    # ONNX has the natural logarithm alone.
    decibels = g.node("Mul", g.node("Log", gain), g.scalar(20 / np.log(10), np.float64))
    moved = g.node("Mul", decibels, g.constant(step.shifts_[None], np.float64))
    # A row without a level has no number of decibels, which must not spread to the columns that do not move.
    shift = g.node("Where", g.constant((step.shifts_ != 0)[None], np.bool_), moved, zero)
    return g.node("Sub", divided, shift)
