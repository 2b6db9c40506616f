"""`PowerTransformer`, Yeo-Johnson, as a graph."""

from typing import Any

import numpy as np

from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import GraphBuilder
from genrestack_export.onnx_graph.math import expm1, log1p

_EPS = float(np.finfo(np.float64).eps)


def power_transform(g: GraphBuilder, scaler: Any, rows: str) -> str:
    """Add the transform of a fitted `PowerTransformer`: float64 (n, f) → float64 (n, f).

    For x ≥ 0 it is ((1 + x)^λ − 1)/λ, or log(1 + x) where λ = 0; for x < 0 minus the same of −x with 2 − λ: Yeo, I.K.
    and Johnson, R.A. (2000), "A new family of power transformations to improve normality or symmetry", Biometrika 87
    (4), pp. 954-959. As in SciPy the power is expm1(λ·log1p(x)), which keeps small values.

    Raises:
        UnsupportedEstimator: the method is Box-Cox.

    """
    if scaler.method != "yeo-johnson":
        raise UnsupportedEstimator("the scaler", f"PowerTransformer(method={scaler.method!r})", "method='yeo-johnson'")
    curved = _yeo_johnson(g, rows, np.asarray(scaler.lambdas_, dtype=np.float64))
    if not scaler.standardize:
        return curved
    inner = scaler._scaler
    centred = g.node("Sub", curved, g.constant(inner.mean_[None], np.float64))
    return g.node("Div", centred, g.constant(inner.scale_[None], np.float64))


def _yeo_johnson(g: GraphBuilder, rows: str, lambdas: Any) -> str:
    upward = g.node("GreaterOrEqual", rows, g.scalar(0, np.float64))
    size = log1p(g, g.node("Abs", rows))
    # SciPy's own bounds: below the one, not above the other.
    straight = np.stack([np.abs(lambdas) < _EPS, np.abs(lambdas - 2) <= _EPS])
    exponents = np.where(straight, 1.0, np.stack([lambdas, 2 - lambdas]))
    exponent = _by_sign(g, upward, exponents, np.float64)
    curved = g.node("Div", expm1(g, g.node("Mul", exponent, size)), exponent)
    if straight.any():
        curved = g.node("Where", _by_sign(g, upward, straight, np.bool_), size, curved)
    return g.node("Where", upward, curved, g.node("Neg", curved))


def _by_sign(g: GraphBuilder, upward: str, values: Any, dtype: Any) -> str:
    """Select each element's value from its column: the first row where it points upward, else the second."""
    if dtype is np.bool_:
        first, second = (g.constant(row[None], np.bool_) for row in values)
        return g.node("Or", g.node("And", upward, first), g.node("And", g.node("Not", upward), second))
    first, second = (g.constant(row[None], dtype) for row in values)
    return g.node("Where", upward, first, second)
