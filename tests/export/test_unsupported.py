"""What has no exact graph is refused by name: the estimator, the parameter, and what is supported."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from export.conftest import Case, FitStack, draw, knn
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, LinearSVC

from genrestack_export import UnsupportedEstimator


def _cubic(a: Any, b: Any) -> float:
    return float((np.abs(a - b) ** 3).sum())


def _kernel(a: Any, b: Any) -> Any:
    return a @ b.T


def _weights(distances: Any) -> Any:
    return np.exp(-distances)


class MyKNN(KNeighborsClassifier):  # type: ignore[misc]  # scikit-learn has no types
    """May answer anything."""


def _calibrated(estimator: Any = None, **options: Any) -> CalibratedClassifierCV:
    return CalibratedClassifierCV(estimator or SVC(), **{"ensemble": False, "cv": 2} | options)


# Estimator → what the message names, and what it says is supported.
BASE: dict[str, tuple[Callable[[], Any], str, str]] = {
    "knn metric of one's own": (lambda: knn(metric=_cubic), "(metric=<function _cubic", "manhattan"),
    "knn metric_params": (
        lambda: knn(metric_params={"w": np.array([1.0, 2, 3, 4])}), "metric_params={'w'", "metric minkowski"
    ),
    "knn weights of one's own": (
        lambda: knn(weights=_weights), "(weights=<function _weights", "weights 'uniform' or 'distance'"
    ),
    "knn subclass": (lambda: MyKNN(3), "MyKNN", "KNeighborsClassifier"),
    "svc kernel of one's own": (
        lambda: SVC(kernel=_kernel, probability=True), "SVC(kernel=<function _kernel", "rbf, linear, poly, sigmoid"
    ),
    "calibrated kernel of one's own": (lambda: _calibrated(SVC(kernel=_kernel)), "SVC(kernel=<function", "rbf"),
    "hard votes": (lambda: VotingClassifier([("a", knn())]), "VotingClassifier(voting='hard')", "voting='soft'"),
    "boosting from a forest": (
        lambda: GradientBoostingClassifier(init=RandomForestClassifier(2), n_estimators=2),
        "GradientBoostingClassifier(init=RandomForestClassifier())", "init None"
    ),
    "a function of one's own": (
        lambda: make_pipeline(FunctionTransformer(np.sin), knn()), "FunctionTransformer(sin)", "numpy.sqrt"
    ),
}  # fmt: skip


def _refused(case: Case, *phrases: str, **changes: Any) -> None:
    with pytest.raises(UnsupportedEstimator) as refused:
        case.export(**changes)
    message = str(refused.value)
    assert re.fullmatch(r".+: .+ is not supported; supported: .+", message)
    for phrase in phrases:
        assert phrase in message
    assert not case.models_dir.exists()


@pytest.mark.parametrize("kind", BASE)
def test_base_estimator(fit: FitStack, kind: str) -> None:
    make, found, supported = BASE[kind]
    case = fit(knn(), make())
    _refused(case, "base estimator 'base1': ", found, supported)


def test_precomputed_kernel(small: Case) -> None:
    scaled, labels = small.scaler.transform(small.training), draw(90, seed=1)[1]
    svc = SVC(kernel="precomputed", probability=True)
    stack = StackingClassifier([("svc", svc)], LogisticRegression(), cv=2).fit(scaled @ scaled.T, labels)
    with pytest.raises(
        UnsupportedEstimator, match=r"base estimator 'svc': SVC\(kernel='precomputed'\) is not supported"
    ):
        small.export(
            stack=stack, scaler=None, feature_names=[f"f{i}" for i in range(90)], reference_rows=np.zeros((2, 90))
        )  # fmt: skip


@pytest.mark.parametrize("make", [knn, lambda: SVC(probability=True)])
def test_fitted_on_sparse_rows(small: Case, make: Callable[[], Any]) -> None:
    scaled, labels = small.scaler.transform(small.training), draw(90, seed=1)[1]
    stack = StackingClassifier([("sparse", make())], LogisticRegression(), cv=2).fit(csr_matrix(scaled), labels)
    _refused(small, "base estimator 'sparse'", "sparse rows", "dense rows", stack=stack)


@pytest.mark.parametrize(
    ("scaler", "found"),
    [
        (FunctionTransformer(np.sin), "FunctionTransformer(sin)"),
        (knn(), "KNeighborsClassifier"),
    ],
)
def test_scaler(small: Case, scaler: Any, found: str) -> None:
    scaler.fit(small.training, draw(90, seed=1)[1])
    _refused(small, "the scaler: ", found, scaler=scaler)


def test_what_is_no_classifier(small: Case) -> None:
    _refused(small, "the model: StackingRegressor", "classifier", stack=StackingRegressor([("a", knn())]))
    _refused(small, "the model: str", "classifier", stack="stack.joblib")


def test_a_model_without_probabilities(small: Case) -> None:
    svc = LinearSVC().fit(small.scaler.transform(small.training), draw(90, seed=1)[1])
    _refused(small, "the model: LinearSVC without predict_proba", "CalibratedClassifierCV", stack=svc)


def test_a_final_estimator_without_probabilities(fit: FitStack) -> None:
    _refused(fit(meta=RidgeClassifier()), "the meta-learner: RidgeClassifier without predict_proba")


def test_multilabel_stack(small: Case) -> None:
    labels = np.column_stack([np.arange(90) % 2, np.arange(90) % 3 == 0]).astype(int)
    stack = StackingClassifier([("knn", knn())], KNeighborsClassifier(), cv=2).fit(small.training, labels)
    _refused(small, "the stack: several labels a row", "one label a row", stack=stack)


def test_prefitted_estimator_that_knows_fewer_classes(small: Case) -> None:
    scaled, labels = small.scaler.transform(small.training), draw(90, seed=1)[1]
    two = labels != "jazz"
    stack = StackingClassifier([("two", knn().fit(scaled[two], labels[two]))], LogisticRegression(), cv="prefit")
    _refused(small, "base estimator 'two'", "knows 2 of 3 classes", stack=stack.fit(scaled, labels))


def test_calibrated_svc_without_probabilities_is_fine(fit: FitStack) -> None:
    assert fit(_calibrated(SVC(probability=False))).export().name == "1"
