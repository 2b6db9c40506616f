"""`CalibratedClassifierCV(SVC(), ensemble=False)`: one-vs-rest decisions and what makes probabilities of them."""

from typing import Any

import numpy as np

from genrestack_bundle.runtime.compose import PROBABILITIES, SCALED
from genrestack_export.converters.svc import SupportVectors, decisions, read_svc
from genrestack_export.converters.temperature import temperature
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder


def calibrated_graph(where: str, estimator: Any) -> Any:
    """Build the graph of a fitted calibrated SVC: `scaled`, float64 (n, f) → `probabilities`, float64 (n, k).

    Decisions are float64 whatever the precision: votes jump where a decision changes its sign.

    Raises:
        UnsupportedEstimator: the ensemble, the method or the calibrated estimator is of another kind.

    """
    calibrated = _only(where, estimator)
    svc = calibrated.estimator
    vectors = read_svc(where, svc)
    if svc.decision_function_shape != "ovr" and vectors.classes > 2:
        raise UnsupportedEstimator(where, f"SVC(decision_function_shape={svc.decision_function_shape!r})", "'ovr'")
    g = GraphBuilder()
    pairwise = decisions(g, vectors, dtype=np.float64)
    # scikit-learn turns libsvm's sign around: with two classes, positive speaks for the second.
    columns = g.node("Neg", pairwise) if vectors.classes == 2 else _one_vs_rest(g, vectors, pairwise)
    g.name_output(_METHODS[calibrated.method](g, calibrated, columns, vectors.classes), PROBABILITIES)
    return g.model(
        f"calibrated svc, {vectors.kernel}, {len(vectors.vectors)} vectors",
        {SCALED: (DOUBLE, ["rows", vectors.vectors.shape[1]])},
        {PROBABILITIES: (DOUBLE, ["rows", vectors.classes])},
    )


def _only(where: str, estimator: Any) -> Any:
    from sklearn.svm import SVC

    supported = "CalibratedClassifierCV(SVC(), ensemble=False, method='sigmoid' or 'temperature')"
    if len(estimator.calibrated_classifiers_) != 1:
        found = f"CalibratedClassifierCV(ensemble={estimator.ensemble!r}) of {len(estimator.calibrated_classifiers_)}"
        raise UnsupportedEstimator(where, found, supported)
    calibrated = estimator.calibrated_classifiers_[0]
    if calibrated.method not in _METHODS:
        raise UnsupportedEstimator(where, f"CalibratedClassifierCV(method={calibrated.method!r})", supported)
    if type(calibrated.estimator) is not SVC:
        found = f"CalibratedClassifierCV({type(calibrated.estimator).__name__}())"
        raise UnsupportedEstimator(where, found, supported)
    return calibrated


def _one_vs_rest(g: GraphBuilder, vectors: SupportVectors, pairwise: str) -> str:
    """Votes of the pairs, with the summed confidences as a fraction below one half to break ties."""
    k, pairs = vectors.classes, vectors.pairs
    first, second = np.zeros((len(pairs), k)), np.zeros((len(pairs), k))
    for pair, (i, j) in enumerate(pairs):
        first[pair, i] = second[pair, j] = 1
    for_second = g.cast(g.node("Less", pairwise, g.scalar(0, np.float64)), DOUBLE)
    for_first = g.node("Sub", g.scalar(1, np.float64), for_second)
    votes = g.node(
        "Add",
        g.node("MatMul", for_first, g.constant(first, np.float64)),
        g.node("MatMul", for_second, g.constant(second, np.float64)),
    )
    confidence = g.node("MatMul", pairwise, g.constant(first - second, np.float64))
    size = g.node("Add", g.node("Abs", confidence), g.scalar(1, np.float64))
    fraction = g.node("Div", confidence, g.node("Mul", size, g.scalar(3, np.float64)))
    return g.node("Add", votes, fraction)


def _sigmoids(g: GraphBuilder, calibrated: Any, decisions: str, classes: int) -> str:
    """One sigmoid a class, made to sum to one."""
    slopes = np.array([[c.a_ for c in calibrated.calibrators]])
    offsets = np.array([[c.b_ for c in calibrated.calibrators]])
    exponent = g.node("Add", g.node("Mul", decisions, g.constant(slopes, np.float64)), g.constant(offsets, np.float64))
    return _normalise(g, classes, _expit(g, g.node("Neg", exponent)))


_METHODS = {"sigmoid": _sigmoids, "temperature": temperature}


def _expit(g: GraphBuilder, value: str) -> str:
    return g.node("Reciprocal", g.node("Add", g.node("Exp", g.node("Neg", value)), g.scalar(1, np.float64)))


def _normalise(g: GraphBuilder, classes: int, columns: str) -> str:
    if classes == 2:
        return g.node("Concat", g.node("Sub", g.scalar(1, np.float64), columns), columns, axis=1)
    total = g.reduce_sum(columns, 1)
    zero = g.node("Equal", total, g.scalar(0, np.float64))
    safe = g.node("Where", zero, g.scalar(1, np.float64), total)
    return g.node("Where", zero, g.scalar(1 / classes, np.float64), g.node("Div", columns, safe))
