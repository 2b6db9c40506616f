"""What skl2onnx makes of an estimator that has no graph of ours; the parity check decides whether it is right."""

from typing import Any

from genrestack_bundle.runtime.compose import SCALED
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, ML_OPSET, OPSET, GraphBuilder, finish

_OUTPUT = "converted"


def convert_classifier(where: str, estimator: Any, features: int) -> tuple[Any, bool]:
    """Return a graph from `scaled` to probabilities, float64, and whether it computes in float32.

    Raises:
        UnsupportedEstimator: skl2onnx does not know the estimator, or onnxruntime does not load what it makes.

    """
    if not hasattr(estimator, "predict_proba"):
        raise UnsupportedEstimator(
            where, f"{type(estimator).__name__} without predict_proba", "classifiers that have it"
        )
    return _convert(where, estimator, features, classifier=True)


def convert_transformer(where: str, transformer: Any, features: int) -> tuple[Any, bool]:
    """Return a graph from `scaled` to the transformed rows, float64, and whether it computes in float32.

    Raises:
        UnsupportedEstimator: skl2onnx does not know the transformer, or onnxruntime does not load what it makes.

    """
    return _convert(where, transformer, features, classifier=False)


def _convert(where: str, estimator: Any, features: int, *, classifier: bool) -> tuple[Any, bool]:
    for dtype in (DOUBLE, FLOAT):
        try:
            return _graph(estimator, features, dtype, classifier=classifier), dtype == FLOAT
        except Exception:  # noqa: BLE001, S112 - skl2onnx raises of every kind where it has no converter
            continue
    raise UnsupportedEstimator(
        where, type(estimator).__name__, "what docs/export.md lists, and what skl2onnx converts and onnxruntime loads"
    )


def _graph(estimator: Any, features: int, dtype: int, *, classifier: bool) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = DoubleTensorType if dtype == DOUBLE else FloatTensorType
    converted = convert_sklearn(
        estimator,
        initial_types=[("raw", kind([None, features]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options={id(estimator): {"zipmap": False}} if classifier else None,
    )
    g = GraphBuilder()
    outputs = g.absorb(converted.graph, {"raw": SCALED if dtype == DOUBLE else g.cast(SCALED, FLOAT)})
    g.name_output(g.cast(outputs[-1], DOUBLE), _OUTPUT)
    graph = g.graph("converted", {SCALED: (DOUBLE, ["rows", features])}, {_OUTPUT: (DOUBLE, ["rows", "columns"])})
    _load(finish(graph))
    return graph


def _load(model: Any) -> None:
    from genrestack_bundle.runtime.providers import import_onnxruntime

    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
