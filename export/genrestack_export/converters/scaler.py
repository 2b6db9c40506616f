"""The scaler as a graph, in float64: skl2onnx's where that is exact, our own for what it cannot convert."""

from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

from genrestack_bundle.runtime.compose import FEATURES, SCALED
from genrestack_export.converters.gain import gain_normalizer
from genrestack_export.converters.imputer import simple_imputer
from genrestack_export.converters.power import power_transform
from genrestack_export.converters.quantiles import quantile_transform
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.gain import GainNormalizer
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, ML_OPSET, OPSET, GraphBuilder

_LINEAR = (MinMaxScaler, StandardScaler, RobustScaler)
_CURVED = {
    PowerTransformer: power_transform,
    QuantileTransformer: quantile_transform,
    SimpleImputer: simple_imputer,
    GainNormalizer: gain_normalizer,
}


def scaler_graph(scaler: Any) -> Any:
    """Build the graph of a fitted scaler: `features`, float32 (n, f) → `scaled`, float64 (n, f).

    Raises:
        UnsupportedEstimator: the scaler is of another kind, or of a method that has no graph here.

    """
    steps = [step for _, step in scaler.steps] if type(scaler) is Pipeline else [scaler]
    for step in steps:
        if type(step) not in (*_LINEAR, *_CURVED):
            names = ", ".join(kind.__name__ for kind in (*_LINEAR, *_CURVED))
            raise UnsupportedEstimator("the scaler", type(step).__name__, f"{names} or none")
    g = GraphBuilder()
    values = g.cast(FEATURES, DOUBLE)
    for step in steps:
        linear = type(step) in _LINEAR
        values = _linear(g, step, values, step.n_features_in_) if linear else _CURVED[type(step)](g, step, values)
    g.name_output(values, SCALED)
    f, scaled = int(scaler.n_features_in_), scaled_features(scaler)
    return g.model(type(scaler).__name__, {FEATURES: (FLOAT, ["rows", f])}, {SCALED: (DOUBLE, ["rows", scaled])})


def scaled_features(scaler: Any) -> int:
    """Return how many columns a fitted scaler gives: an imputer may leave columns out and add indicators."""
    steps = [step for _, step in scaler.steps] if type(scaler) is Pipeline else [scaler]
    last = steps[-1]
    if type(last) is not SimpleImputer:
        return int(last.n_features_in_)
    return int(last.transform(np.zeros((1, last.n_features_in_))).shape[1])


def _linear(g: GraphBuilder, scaler: Any, rows: str, features: int) -> str:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType

    converted = convert_sklearn(
        scaler,
        initial_types=[("raw", DoubleTensorType([None, features]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    (scaled,) = g.absorb(converted.graph, {"raw": rows})
    return scaled
