"""What a calibration by temperature makes of decisions: the softmax of all of them times one number."""

from typing import Any

import numpy as np

from genrestack_export.onnx_graph.builder import GraphBuilder


def temperature(g: GraphBuilder, calibrated: Any, decisions: str, classes: int) -> str:
    """Add the probabilities of a fitted `CalibratedClassifierCV(method="temperature")`, float64 (n, k).

    Args:
        g: the graph to add to.
        calibrated: its only calibrated classifier.
        decisions: one column a class; of two classes one column, positive for the second.
        classes: how many, k.

    """
    (calibrator,) = calibrated.calibrators
    # As scikit-learn has it: of two classes, the first is as likely as the second is not.
    logits = g.node("Concat", g.node("Neg", decisions), decisions, axis=1) if classes == 2 else decisions
    return g.node("Softmax", g.node("Mul", logits, g.scalar(float(calibrator.beta_), np.float64)), axis=1)
