"""Classifiers with a graph of their own in a module of their own: KNN, SVC, Keras; and skl2onnx for what is left."""

import copy
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, NuSVC

from genrestack_bundle.runtime.compose import SCALED
from genrestack_export.converters.context import CLASSIFIERS, OTHERS, Answer, Context, Table, lazy
from genrestack_export.converters.fallback import convert_classifier
from genrestack_export.converters.keras_net import keras_graph
from genrestack_export.converters.nearest.knn import knn_graph, read_knn
from genrestack_export.converters.svm.one_vs_one import one_vs_rest_decisions, pair_votes
from genrestack_export.converters.svm.platt import platt_graph, takes_single
from genrestack_export.converters.svm.svc import SupportVectors, decisions, read_svc
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder

_BINARY = 2


def neighbors(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `KNeighborsClassifier`."""
    known = read_knn(c.where, estimator)
    return Answer(known.classes, lazy(lambda: c.embed(knn_graph(known).graph, {SCALED: rows.name})))


def support_vectors(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `SVC` and `NuSVC`, with probabilities or without."""
    vectors = read_svc(c.where, estimator)
    k = vectors.classes
    pairwise = lazy(lambda: c.embed(_pairwise(vectors), {SCALED: rows.name}))

    def probabilities() -> str:
        single = c.single and takes_single(estimator)
        c.took_single |= single
        c.coupled = True
        return c.embed(platt_graph(c.where, estimator, single=single).graph, {SCALED: rows.name})

    def decision() -> str:
        # scikit-learn turns libsvm's sign around: with two classes, positive speaks for the second.
        if k == _BINARY:
            return c.g.node("Neg", pairwise())
        if estimator.decision_function_shape == "ovo":
            return pairwise()
        return one_vs_rest_decisions(c.g, vectors, pairwise())

    made = lazy(decision)

    def index() -> str:
        if k == _BINARY:
            # libsvm says the second class where a decision is exactly zero.
            flags = c.g.node("LessOrEqual", pairwise(), c.number(0))
            return c.g.node("Squeeze", c.g.cast(flags, 7), c.g.constant([1], np.int64))
        scores = made() if estimator.break_ties else pair_votes(c.g, vectors, pairwise())
        return c.g.node("ArgMax", scores, axis=1, keepdims=0)

    has = len(getattr(estimator, "_probA", ())) > 0
    return Answer(k, lazy(probabilities) if has else None, made, lazy(index))


def _pairwise(vectors: SupportVectors) -> Any:
    g = GraphBuilder()
    g.name_output(decisions(g, vectors, dtype=np.float64), "decisions")
    f = vectors.vectors.shape[1]
    return g.graph("decisions", {SCALED: (DOUBLE, ["rows", f])}, {"decisions": (DOUBLE, ["rows", len(vectors.pairs)])})


def is_keras(estimator: Any) -> bool:
    """Return whether an estimator is scikeras' `KerasClassifier`, or derived from it."""
    # By name: an import of scikeras brings in TensorFlow, which a stack without a network does not need.
    return any(
        kind.__name__ == "KerasClassifier" and kind.__module__.startswith("scikeras")
        for kind in type(estimator).__mro__
    )


def network(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert scikeras' `KerasClassifier`."""
    c.network = True
    c.tools.add("tf2onnx")
    graph = keras_graph(c.where, estimator, rows.width).graph
    return Answer(int(estimator.n_classes_), lazy(lambda: c.embed(graph, {SCALED: rows.name})))


def other(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert by skl2onnx, in float64 where onnxruntime has that, else in float32."""
    plain = copy.copy(estimator)
    k = len(estimator.classes_)
    # Codes of int8, as pandas' categories have, are refused there.
    plain.classes_ = np.arange(k)
    graph, single = convert_classifier(c.where, plain, rows.width)
    c.tools.add("skl2onnx")
    if single:
        c.float32.add(type(estimator).__name__)
    return Answer(k, lazy(lambda: c.embed(graph, {SCALED: rows.name})))


CLASSIFIERS.update({KNeighborsClassifier: neighbors, SVC: support_vectors, NuSVC: support_vectors})
OTHERS.extend(
    [
        (is_keras, network),
        (lambda e: is_classifier(e) and type(e).__module__.startswith("sklearn.") and hasattr(e, "classes_"), other),
    ]
)
