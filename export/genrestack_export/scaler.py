"""The scaler as a graph: skl2onnx's, which is exact in float64."""

from typing import Any

from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from genrestack_bundle.compose import FEATURES, SCALED
from genrestack_export.builder import DOUBLE, FLOAT, ML_OPSET, OPSET, GraphBuilder
from genrestack_export.errors import UnsupportedEstimator

_SUPPORTED = (MinMaxScaler, StandardScaler, RobustScaler)


def scaler_graph(scaler: Any) -> Any:
    """Build the graph of a fitted scaler: `features`, float32 (n, f) → `scaled`, float64 (n, f).

    Raises:
        UnsupportedEstimator: the scaler is of another kind.

    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType

    if type(scaler) not in _SUPPORTED:
        names = ", ".join(kind.__name__ for kind in _SUPPORTED)
        raise UnsupportedEstimator("the scaler", type(scaler).__name__, f"{names} or none")
    f = int(scaler.n_features_in_)
    converted = convert_sklearn(
        scaler,
        initial_types=[("raw", DoubleTensorType([None, f]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    g = GraphBuilder()
    (scaled,) = g.absorb(converted.graph, {"raw": g.cast(FEATURES, DOUBLE)})
    g.name_output(scaled, SCALED)
    return g.model(type(scaler).__name__, {FEATURES: (FLOAT, ["rows", f])}, {SCALED: (DOUBLE, ["rows", f])})
