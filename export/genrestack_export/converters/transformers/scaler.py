"""What stands in front of a model as a graph, in float64."""

from typing import Any

from genrestack_export.onnx_graph.builder import ML_OPSET, OPSET, GraphBuilder


def linear_scaler(g: GraphBuilder, scaler: Any, rows: str, features: int) -> str:
    """Add a fitted linear scaler, as skl2onnx converts it: float64 (n, f) → float64 (n, f)."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType

    converted = convert_sklearn(
        scaler,
        initial_types=[("raw", DoubleTensorType([None, features]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    (scaled,) = g.absorb(converted.graph, {"raw": rows})
    return scaled
