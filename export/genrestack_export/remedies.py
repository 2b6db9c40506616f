"""The one change that makes an estimator exportable, where there is one: most lack probabilities for an argument."""

from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.finding.wrappers import peel

_SVC = "SVC(probability=True) or CalibratedClassifierCV(SVC(), ensemble=False)"
# Kinds that have no `predict_proba`, or have it for some arguments only, by the name of their class → what has it.
_WITH_PROBABILITIES = {
    "LinearSVC": "CalibratedClassifierCV(LinearSVC())",
    "NuSVC": "NuSVC(probability=True)",
    "PassiveAggressiveClassifier": "CalibratedClassifierCV(PassiveAggressiveClassifier())",
    "Perceptron": "CalibratedClassifierCV(Perceptron())",
    "RidgeClassifier": "CalibratedClassifierCV(RidgeClassifier())",
    "RidgeClassifierCV": "CalibratedClassifierCV(RidgeClassifierCV())",
    "SGDClassifier": "SGDClassifier(loss='log_loss') or CalibratedClassifierCV(SGDClassifier())",
    "SVC": _SVC,
    "VotingClassifier": "VotingClassifier(voting='soft')",
}
# Rows of probabilities sum to one within what float32 rounds.
_ROUNDED = 1e-3


def without_probabilities(estimator: Any) -> str | None:
    """Return what to fit in place of an estimator that has no probabilities; None if it has them, or nothing is known.

    Args:
        estimator: fitted; the last step counts of a pipeline, and the best estimator of a search.

    """
    if hasattr(estimator, "predict_proba"):
        return None
    return _WITH_PROBABILITIES.get(type(peel(estimator).model).__name__)


def refuse_without_probabilities(where: str, estimator: Any) -> UnsupportedEstimator:
    """Return the error for a fitted estimator that has no `predict_proba` where it is needed."""
    kind = type(estimator).__name__
    change = without_probabilities(estimator) or f"an estimator that has them in place of {kind}"
    return UnsupportedEstimator(
        where, f"{kind} without predict_proba", f"estimators with probabilities; fit it again with {change}"
    )


def check_probabilities(where: str, model: Any, answers: npt.NDArray[np.float64]) -> None:
    """Check that what a model calls probabilities, shape (n, k), are some.

    Raises:
        UnsupportedEstimator: they are not, as those of a network that ends without a softmax.

    """
    sums = answers.sum(axis=1)
    bad = (np.abs(sums - 1) > _ROUNDED) | (answers < -_ROUNDED).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise UnsupportedEstimator(
            where,
            f"a {type(model).__name__} whose probabilities of row {row} sum to {sums[row]:.3g}",
            "probabilities that sum to one; end a network with Dense(classes, activation='softmax'), and compile it "
            "without from_logits",
        )
