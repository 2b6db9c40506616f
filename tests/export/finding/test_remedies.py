"""The one change that a refusal names makes the stack exportable."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from export.conftest import Case, FitStack, draw, knn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

from genrestack_export import UnsupportedEstimator
from genrestack_export.remedies import check_probabilities, without_probabilities

# Estimator without probabilities → the change.
CHANGES: dict[str, tuple[Callable[[], Any], str]] = {
    "svc": (SVC, "SVC(probability=True)"),
    "svc in a pipeline": (lambda: make_pipeline(StandardScaler(), SVC()), "SVC(probability=True)"),
    "svc in a search": (lambda: GridSearchCV(SVC(), {"C": [1, 10]}, cv=2), "SVC(probability=True)"),
    "nu": (NuSVC, "NuSVC(probability=True)"),
    "linear svc": (LinearSVC, "CalibratedClassifierCV(LinearSVC())"),
    "hinge": (lambda: SGDClassifier(loss="hinge"), "SGDClassifier(loss='log_loss')"),
    "perceptron": (Perceptron, "CalibratedClassifierCV(Perceptron())"),
    "ridge": (RidgeClassifier, "CalibratedClassifierCV(RidgeClassifier())"),
    "hard votes": (lambda: VotingClassifier([("knn", knn())], voting="hard"), "VotingClassifier(voting='soft')"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_change_is_named(small: Case, kind: str) -> None:
    make, change = CHANGES[kind]
    model = make().fit(*draw(90, seed=1))
    with pytest.raises(UnsupportedEstimator, match=f"the model: .*fit it again with {re.escape(change)}"):
        small.export(stack=model, scaler=None)


@pytest.mark.parametrize("kind", sorted(CHANGES.keys() - {"hard votes"}))
def test_a_member_needs_no_probabilities(fit: FitStack, kind: str) -> None:
    assert fit(CHANGES[kind][0](), knn(), meta=LogisticRegression(max_iter=5000)).export().name == "1"


def test_votes_of_a_member_are_soft(fit: FitStack) -> None:
    with pytest.raises(UnsupportedEstimator, match=r"base estimator 'first': .*VotingClassifier\(voting='soft'\)"):
        fit(CHANGES["hard votes"][0]()).export()


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(probability=True),
        SVC(kernel="linear", probability=True),
        CalibratedClassifierCV(SVC(), ensemble=False, cv=2),
    ],
    ids=str,
)
def test_change_makes_it_exportable(fit: FitStack, estimator: Any) -> None:
    assert fit(estimator).export().name == "1"
    assert without_probabilities(estimator.fit(*draw(90, seed=1))) is None


def test_kind_that_nothing_is_known_of(small: Case) -> None:
    class Mine(LinearSVC):  # type: ignore[misc]  # scikit-learn has no types
        pass

    with pytest.raises(UnsupportedEstimator, match="fit it again with an estimator that has them in place of Mine"):
        small.export(stack=Mine().fit(*draw(90, seed=1)), scaler=None)


@pytest.mark.parametrize(("last", "refused"), [(None, True), ("softmax", False), ("sigmoid", True)])
def test_network_that_ends_without_a_softmax(last: str | None, *, refused: bool) -> None:
    import keras
    from scikeras.wrappers import KerasClassifier

    def network() -> Any:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=last)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
        model.compile("adam", loss=loss)
        return model

    rows, labels = draw(30, seed=1)
    fitted = KerasClassifier(network, epochs=1, verbose=0, random_state=0).fit(rows, labels)
    answers = np.asarray(fitted.predict_proba(rows), dtype=np.float64)
    if not refused:
        return check_probabilities("the model", fitted, answers)
    with pytest.raises(UnsupportedEstimator, match=r"the model: .*Dense\(classes, activation='softmax'\).*from_logits"):
        check_probabilities("the model", fitted, answers)
    return None
