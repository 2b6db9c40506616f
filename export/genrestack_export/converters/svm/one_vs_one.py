"""Decisions of an `SVC`, one class against the rest, from those of all pairs."""

import numpy as np
import numpy.typing as npt

from genrestack_export.converters.svm.svc import SupportVectors
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder


def pair_votes(g: GraphBuilder, vectors: SupportVectors, pairwise: str) -> str:
    """Count the pairs that each class wins, float64 (n, k)."""
    first, second = _sides(vectors)
    for_second = g.cast(g.node("Less", pairwise, g.scalar(0, np.float64)), DOUBLE)
    for_first = g.node("Sub", g.scalar(1, np.float64), for_second)
    return g.node(
        "Add",
        g.node("MatMul", for_first, g.constant(first, np.float64)),
        g.node("MatMul", for_second, g.constant(second, np.float64)),
    )


def one_vs_rest_decisions(g: GraphBuilder, vectors: SupportVectors, pairwise: str) -> str:
    """Votes of the pairs, with the summed confidences as a fraction below one half to break ties."""
    first, second = _sides(vectors)
    confidence = g.node("MatMul", pairwise, g.constant(first - second, np.float64))
    size = g.node("Add", g.node("Abs", confidence), g.scalar(1, np.float64))
    fraction = g.node("Div", confidence, g.node("Mul", size, g.scalar(3, np.float64)))
    return g.node("Add", pair_votes(g, vectors, pairwise), fraction)


def _sides(vectors: SupportVectors) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    k, pairs = vectors.classes, vectors.pairs
    first, second = np.zeros((len(pairs), k)), np.zeros((len(pairs), k))
    for pair, (i, j) in enumerate(pairs):
        first[pair, i] = second[pair, j] = 1
    return first, second
