"""`SVC(probability=True)`: Platt scaling and pairwise coupling, run by onnxruntime's own port of libsvm.

[Wu, Lin, Weng: Probability Estimates for Multi-class Classification by Pairwise Coupling, JMLR 5 (2004), algorithm 2.]
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.compose import PROBABILITIES, SCALED
from genrestack_export.builder import DOUBLE, FLOAT, GraphBuilder
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.svc import SupportVectors, decisions, read_svc


def platt_graph(where: str, estimator: Any, *, dtype: npt.DTypeLike) -> Any:
    """Build the graph of a fitted `SVC(probability=True)`: `scaled`, float64 (n, f) → `probabilities`, float64 (n, k).

    Raises:
        UnsupportedEstimator: the SVC was fitted without probabilities, or its kernel is not supported.

    """
    vectors = read_svc(where, estimator)
    if not len(getattr(estimator, "_probA", ())):
        raise UnsupportedEstimator(
            where, "SVC(probability=False)", "SVC(probability=True) or CalibratedClassifierCV(SVC(), ensemble=False)"
        )
    g = GraphBuilder()
    single = g.cast(decisions(g, vectors, dtype=dtype), FLOAT)
    _, coupled = g.nodes("SVMClassifier", single, outputs=2, domain="ai.onnx.ml", **_coupling(vectors, estimator))
    g.name_output(g.cast(coupled, DOUBLE), PROBABILITIES)
    f = vectors.vectors.shape[1]
    return g.model(
        f"svc, {vectors.kernel}, {len(vectors.vectors)} vectors",
        {SCALED: (DOUBLE, ["rows", f])},
        {PROBABILITIES: (DOUBLE, ["rows", vectors.classes])},
    )


def _coupling(vectors: SupportVectors, estimator: Any) -> dict[str, Any]:
    """Attributes of an `SVMClassifier` that hands its inputs on: as many decisions as there are pairs.

    Its kernel is linear and its "support vectors" are the unit vectors of the pairs, with the coefficient 1 for the
    first class and 0 for the second, so that its decisions are its inputs and only the coupling is left to do.
    """
    k, pairs = vectors.classes, vectors.pairs
    coefficients = np.zeros((k - 1, len(pairs)), dtype=np.float32)
    for pair, (_, j) in enumerate(pairs):
        coefficients[j - 1, pair] = 1
    return {
        "classlabels_ints": list(range(k)),
        "coefficients": coefficients.ravel().tolist(),
        "kernel_params": [0.0, 0.0, 0.0],
        "kernel_type": "LINEAR",
        "post_transform": "NONE",
        "prob_a": np.asarray(estimator._probA, dtype=np.float32).tolist(),
        "prob_b": np.asarray(estimator._probB, dtype=np.float32).tolist(),
        "rho": [0.0] * len(pairs),
        "support_vectors": np.eye(len(pairs), dtype=np.float32).ravel().tolist(),
        "vectors_per_class": [k - 1 - i for i in range(k)],
    }
