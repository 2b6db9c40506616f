"""`SVC(probability=True)`: one-vs-one decisions, coupled to class probabilities."""

from typing import Any

import numpy as np

from genrestack_bundle.runtime.compose import PROBABILITIES, SCALED
from genrestack_export.converters.svm.coupling import couple
from genrestack_export.converters.svm.svc import decisions, read_svc
from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder

# With this many classes and more, libsvm's last step moves a probability by less than "single" may be off; with fewer,
# decisions in float32 could make it stop at another step than scikit-learn by more than that.
_CLASSES_FOR_SINGLE = 10


def takes_single(estimator: Any) -> bool:
    """Return whether a fitted SVC may compute its kernel in float32."""
    return estimator.kernel == "rbf" and len(estimator.classes_) >= _CLASSES_FOR_SINGLE


def platt_graph(where: str, estimator: Any, *, single: bool) -> Any:
    """Build the graph of a fitted `SVC(probability=True)`: `scaled`, float64 (n, f) → `probabilities`, float64 (n, k).

    Args:
        where: the place in the stack, for messages.
        estimator: the SVC.
        single: compute the kernel in float32; only where `takes_single`.

    Raises:
        UnsupportedEstimator: the SVC was fitted without probabilities, or its kernel is not supported.

    """
    vectors = read_svc(where, estimator)
    if not len(getattr(estimator, "_probA", ())):
        raise UnsupportedEstimator(
            where, "SVC(probability=False)", "SVC(probability=True) or CalibratedClassifierCV(SVC(), ensemble=False)"
        )
    g = GraphBuilder()
    pairwise = decisions(g, vectors, dtype=np.float32 if single else np.float64)
    slopes, offsets = np.asarray(estimator._probA), np.asarray(estimator._probB)
    g.name_output(couple(g, pairwise, slopes, offsets, exact=not single), PROBABILITIES)
    return g.model(
        f"svc, {vectors.kernel}, {len(vectors.vectors)} vectors",
        {SCALED: (DOUBLE, ["rows", vectors.vectors.shape[1]])},
        {PROBABILITIES: (DOUBLE, ["rows", vectors.classes])},
    )
