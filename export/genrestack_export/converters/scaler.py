"""The scaler as a graph, in float64: skl2onnx's where that is exact, our own for what it cannot convert."""

from typing import Any

from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler

from genrestack_bundle.runtime.compose import FEATURES, SCALED
from genrestack_export.converters.power import power_transform
from genrestack_export.converters.quantiles import quantile_transform
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, ML_OPSET, OPSET, GraphBuilder

_LINEAR = (MinMaxScaler, StandardScaler, RobustScaler)
_CURVED = {PowerTransformer: power_transform, QuantileTransformer: quantile_transform}


def scaler_graph(scaler: Any) -> Any:
    """Build the graph of a fitted scaler: `features`, float32 (n, f) → `scaled`, float64 (n, f).

    Raises:
        UnsupportedEstimator: the scaler is of another kind, or of a method that has no graph here.

    """
    if type(scaler) not in (*_LINEAR, *_CURVED):
        names = ", ".join(kind.__name__ for kind in (*_LINEAR, *_CURVED))
        raise UnsupportedEstimator("the scaler", type(scaler).__name__, f"{names} or none")
    f = int(scaler.n_features_in_)
    g = GraphBuilder()
    rows = g.cast(FEATURES, DOUBLE)
    scaled = _linear(g, scaler, rows, f) if type(scaler) in _LINEAR else _CURVED[type(scaler)](g, scaler, rows)
    g.name_output(scaled, SCALED)
    return g.model(type(scaler).__name__, {FEATURES: (FLOAT, ["rows", f])}, {SCALED: (DOUBLE, ["rows", f])})


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
