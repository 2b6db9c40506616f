"""The meta-learner, a `LogisticRegression`, as a graph."""

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from genrestack_bundle.runtime.compose import CLASS_INDEX, PROBABILITIES, STACKED
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, INT64, GraphBuilder

_BINARY = 2


def logistic_graph(where: str, estimator: Any) -> Any:
    """Build the graph: `stacked`, float64 (n, m) → `class_index`, int64 (n,), and `probabilities`, float64 (n, k).

    Raises:
        UnsupportedEstimator: the meta-learner is another estimator, or a one-vs-rest LogisticRegression.

    """
    supported = "LogisticRegression, multinomial"
    if type(estimator) is not LogisticRegression:
        raise UnsupportedEstimator(where, type(estimator).__name__, supported)
    classes = len(estimator.classes_)
    one_vs_rest = getattr(estimator, "multi_class", None) == "ovr" or estimator.solver == "liblinear"
    if classes > _BINARY and one_vs_rest:
        raise UnsupportedEstimator(where, "a one-vs-rest LogisticRegression", supported)
    g = GraphBuilder()
    weights, bias = g.constant(estimator.coef_.T, np.float64), g.constant(estimator.intercept_, np.float64)
    logits = g.node("Gemm", STACKED, weights, bias)
    index, probabilities = _two(g, logits) if classes == _BINARY else _many(g, logits)
    g.name_output(index, CLASS_INDEX)
    g.name_output(probabilities, PROBABILITIES)
    return g.model(
        "logistic regression",
        {STACKED: (DOUBLE, ["rows", estimator.coef_.shape[1]])},
        {CLASS_INDEX: (INT64, ["rows"]), PROBABILITIES: (DOUBLE, ["rows", classes])},
    )


def _many(g: GraphBuilder, logits: str) -> tuple[str, str]:
    return g.node("ArgMax", logits, axis=1, keepdims=0), g.node("Softmax", logits, axis=1)


def _two(g: GraphBuilder, logit: str) -> tuple[str, str]:
    one = g.scalar(1, np.float64)
    second = g.node("Div", one, g.node("Add", one, g.node("Exp", g.node("Neg", logit))))
    positive = g.cast(g.node("Greater", logit, g.scalar(0, np.float64)), INT64)
    index = g.node("Squeeze", positive, g.constant([1], np.int64))
    return index, g.node("Concat", g.node("Sub", one, second), second, axis=1)
