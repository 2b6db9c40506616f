"""`SVC` as a graph: kernel, one-vs-one decisions, and probabilities from either of scikit-learn's two ways.

Decisions are those of libsvm: positive speaks for the first class of a pair (i, j), i < j, pairs in the order
(0, 1), (0, 2), …, (1, 2), ….
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.runtime.compose import SCALED
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, GraphBuilder

_KERNELS = ("rbf", "linear", "poly", "sigmoid")
# exp(-800) is zero in float64, and in float32 long before.
_VANISHED = 800.0
# Support vectors a class, on average, from which a block of its own a class beats one dense matrix of all pairs.
_BLOCK = 64


@dataclass(frozen=True)
class SupportVectors:
    """What a fitted `SVC` knows, as libsvm sees it."""

    vectors: npt.NDArray[np.float64]
    """Support vectors, shape (s, f), ordered by class."""
    per_class: npt.NDArray[np.int64]
    """How many of them each class has, shape (k,)."""
    coefficients: npt.NDArray[np.float64]
    """Shape (k − 1, s): for the pair (i, j) row j − 1 over class i's vectors and row i over class j's."""
    intercepts: npt.NDArray[np.float64]
    """One for each pair, shape (k(k − 1)/2,)."""
    kernel: str
    gamma: float
    coef0: float
    degree: int

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.per_class)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of classes in libsvm's order."""
        return list(combinations(range(self.classes), 2))


def read_svc(where: str, estimator: Any) -> SupportVectors:
    """Read a fitted `SVC`.

    Raises:
        UnsupportedEstimator: its kernel has no exact graph here, or it was fitted on sparse rows.

    """
    if estimator.kernel not in _KERNELS:
        raise UnsupportedEstimator(where, f"SVC(kernel={estimator.kernel!r})", f"kernel {', '.join(_KERNELS)}")
    if estimator._sparse:
        raise UnsupportedEstimator(where, "SVC fitted on sparse rows", "dense rows")
    return SupportVectors(
        vectors=np.asarray(estimator.support_vectors_, dtype=np.float64),
        per_class=np.asarray(estimator.n_support_, dtype=np.int64),
        coefficients=np.asarray(estimator._dual_coef_, dtype=np.float64),
        intercepts=np.asarray(estimator._intercept_, dtype=np.float64),
        kernel=str(estimator.kernel),
        gamma=float(estimator._gamma),
        coef0=float(estimator.coef0),
        degree=int(estimator.degree),
    )


def decisions(g: GraphBuilder, vectors: SupportVectors, *, dtype: npt.DTypeLike) -> str:
    """Add the one-vs-one decisions: `scaled`, float64 (n, f) → float64 (n, pairs).

    Args:
        g: the graph to add to.
        vectors: what the SVC knows.
        dtype: element type of the rbf kernel; sums over the support vectors are float64 in any case.

    """
    if vectors.kernel == "linear":
        return _linear(g, vectors)
    k = vectors.classes
    if len(vectors.vectors) < k * _BLOCK:
        kernel = _kernel(g, vectors, slice(None), dtype)
        return _gemm(g, kernel, _dense(vectors), vectors.intercepts)
    ends = np.cumsum(vectors.per_class)
    sums = []
    for end, size in zip(ends, vectors.per_class, strict=True):
        block = slice(int(end - size), int(end))
        sums.append(
            g.node(
                "MatMul", _kernel(g, vectors, block, dtype), g.constant(vectors.coefficients[:, block].T, np.float64)
            )
        )
    # Column c(k − 1) + r holds the sum of row r over class c's vectors.
    choose = np.zeros((k * (k - 1), len(vectors.pairs)))
    for pair, (i, j) in enumerate(vectors.pairs):
        choose[i * (k - 1) + j - 1, pair] = choose[j * (k - 1) + i, pair] = 1
    return _gemm(g, g.node("Concat", *sums, axis=1), choose, vectors.intercepts)


def _gemm(g: GraphBuilder, value: str, weights: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]) -> str:
    return g.node("Gemm", value, g.constant(weights, np.float64), g.constant(bias, np.float64))


def _dense(vectors: SupportVectors) -> npt.NDArray[np.float64]:
    """Coefficients as one matrix of shape (s, pairs), zero where a pair does not see a vector."""
    dense = np.zeros((len(vectors.vectors), len(vectors.pairs)))
    ends = np.cumsum(vectors.per_class)
    starts = ends - vectors.per_class
    for pair, (i, j) in enumerate(vectors.pairs):
        dense[starts[i] : ends[i], pair] = vectors.coefficients[j - 1, starts[i] : ends[i]]
        dense[starts[j] : ends[j], pair] = vectors.coefficients[i, starts[j] : ends[j]]
    return dense


def _linear(g: GraphBuilder, vectors: SupportVectors) -> str:
    # Without a kernel function between them the two products are one.
    return _gemm(g, SCALED, vectors.vectors.T @ _dense(vectors), vectors.intercepts)


def _kernel(g: GraphBuilder, vectors: SupportVectors, block: slice, dtype: npt.DTypeLike) -> str:
    """Kernel values against some of the support vectors, float64 (n, block)."""
    if vectors.kernel == "rbf":
        return _rbf(g, vectors, block, np.dtype(dtype))
    product = g.node(
        "Gemm",
        SCALED,
        g.constant(vectors.gamma * vectors.vectors[block].T, np.float64),
        g.scalar(vectors.coef0, np.float64),
    )
    if vectors.kernel == "sigmoid":
        return g.node("Tanh", product)
    if vectors.degree == 0:
        return g.node("Add", g.node("Mul", product, g.scalar(0, np.float64)), g.scalar(1, np.float64))
    power = product
    for _ in range(vectors.degree - 1):
        power = g.node("Mul", power, product)
    return power


def _rbf(g: GraphBuilder, vectors: SupportVectors, block: slice, dtype: np.dtype[Any]) -> str:
    """exp(−γ‖x − s‖²) as exp(2γ·x·s − γ‖s‖² − γ‖x‖²): the norms ride along as one more column and the bias."""
    rows = _rbf_rows(g, vectors, dtype)
    centred = vectors.vectors[block] - vectors.vectors.mean(axis=0)
    weights = np.vstack([2 * vectors.gamma * centred.T, np.ones((1, len(centred)))])
    bias = -vectors.gamma * (centred**2).sum(axis=1)
    exponent = g.node("Gemm", rows, g.constant(weights, dtype), g.constant(bias, dtype))
    values = g.node("Exp", exponent)
    return values if dtype == np.float64 else g.cast(values, DOUBLE)


def _rbf_rows(g: GraphBuilder, vectors: SupportVectors, dtype: np.dtype[Any]) -> str:
    """Rows about the mean support vector, with −γ‖x‖² as one more column; made once for all blocks."""
    return g.once(("rbf rows", dtype.name), lambda: _make_rbf_rows(g, vectors, dtype))


def _make_rbf_rows(g: GraphBuilder, vectors: SupportVectors, dtype: np.dtype[Any]) -> str:
    centre = vectors.vectors.mean(axis=0)
    # A coordinate beyond this is so far from every support vector that the kernel is zero, wherever it lies exactly;
    # without the bound a float32 would overflow to infinity, and infinity minus infinity is not a number.
    reach = float(np.abs(vectors.vectors - centre).max()) + float(np.sqrt(_VANISHED / vectors.gamma))
    centred = g.node("Sub", SCALED, g.constant(centre, np.float64))
    bounded = g.node("Clip", centred, g.scalar(-reach, np.float64), g.scalar(reach, np.float64))
    # −γ goes into the sum's weights.
    weights = np.full((vectors.vectors.shape[1], 1), -vectors.gamma)
    norms = g.node("MatMul", g.node("Mul", bounded, bounded), g.constant(weights, np.float64))
    rows = g.node("Concat", bounded, norms, axis=1)
    return rows if dtype == np.float64 else g.cast(rows, FLOAT)
