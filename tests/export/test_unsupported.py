"""What has no exact graph is refused by name: the estimator, the parameter, and what is supported."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from export.conftest import Case, FitStack, draw, knn
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, SplineTransformer, StandardScaler
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
    "knn p=3": (lambda: knn(p=3), "KNeighborsClassifier(metric='minkowski', p=3", "p 1 or 2"),
    "knn p=1.5": (lambda: knn(p=1.5), "p=1.5", "p 1 or 2"),
    "knn chebyshev": (lambda: knn(metric="chebyshev"), "KNeighborsClassifier(metric='chebyshev'", "manhattan"),
    "knn cosine": (lambda: knn(metric="cosine"), "metric='cosine'", "euclidean"),
    "knn metric of one's own": (lambda: knn(metric=_cubic), "(metric=<function _cubic", "manhattan"),
    "knn metric_params": (
        lambda: knn(metric_params={"w": np.array([1.0, 2, 3, 4])}), "metric_params={'w'", "metric minkowski"
    ),
    "knn weights of one's own": (
        lambda: knn(weights=_weights), "(weights=<function _weights", "weights 'uniform' or 'distance'"
    ),
    "knn subclass": (lambda: MyKNN(3), "MyKNN", "KNeighborsClassifier"),
    "svc without probabilities": (SVC, "an estimator stacked by decision_function", "predict_proba"),
    "svc kernel of one's own": (
        lambda: SVC(kernel=_kernel, probability=True), "SVC(kernel=<function _kernel", "rbf, linear, poly, sigmoid"
    ),
    "linear svc": (LinearSVC, "an estimator stacked by decision_function", "predict_proba"),
    "ridge": (RidgeClassifier, "an estimator stacked by decision_function", "predict_proba"),
    "calibrated ensemble": (
        lambda: _calibrated(ensemble=True), "CalibratedClassifierCV(ensemble=True) of 2", "ensemble=False"
    ),
    "calibrated isotonic": (
        lambda: _calibrated(method="isotonic"), "CalibratedClassifierCV(method='isotonic')", "method='sigmoid'"
    ),
    "calibrated sgd": (
        lambda: _calibrated(SGDClassifier()), "CalibratedClassifierCV(SGDClassifier())", "CalibratedClassifierCV(SVC()"
    ),
    "calibrated linear svc": (
        lambda: _calibrated(LinearSVC()), "CalibratedClassifierCV(LinearSVC())", "CalibratedClassifierCV(SVC()"
    ),
    "calibrated kernel of one's own": (lambda: _calibrated(SVC(kernel=_kernel)), "SVC(kernel=<function", "rbf"),
    "calibrated one-vs-one": (
        lambda: _calibrated(SVC(decision_function_shape="ovo")), "SVC(decision_function_shape='ovo')", "'ovr'"
    ),
    "forest": (lambda: RandomForestClassifier(2), "RandomForestClassifier", "KNeighborsClassifier, SVC"),
    "naive bayes": (GaussianNB, "GaussianNB", "KNeighborsClassifier, SVC"),
    "logistic": (LogisticRegression, "LogisticRegression", "KNeighborsClassifier, SVC"),
    "pipeline": (lambda: make_pipeline(StandardScaler(), knn()), "Pipeline", "KNeighborsClassifier, SVC"),
    "voting": (lambda: VotingClassifier([("a", knn())], voting="soft"), "VotingClassifier", "scikeras KerasClassifier"),
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


def test_frozen_estimator(small: Case) -> None:
    scaled, labels = small.scaler.transform(small.training), draw(90, seed=1)[1]
    frozen = CalibratedClassifierCV(
        FrozenEstimator(SVC().fit(scaled, np.unique(labels, return_inverse=True)[1])), ensemble=False
    )
    stack = StackingClassifier([("frozen", frozen)], LogisticRegression(), cv=2).fit(scaled, labels)
    _refused(small, "base estimator 'frozen'", "FrozenEstimator", "CalibratedClassifierCV(SVC()", stack=stack)


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


@pytest.mark.parametrize("meta", [RandomForestClassifier(2), SGDClassifier(loss="log_loss"), knn()])
def test_meta_learner(fit: FitStack, meta: Any) -> None:
    _refused(fit(meta=meta), f"the meta-learner: {type(meta).__name__}", "LogisticRegression")


def test_one_vs_rest_meta_learner(small: Case) -> None:
    """Older scikit-learns fit one by solver="liblinear" or multi_class="ovr"."""
    small.stack.final_estimator_.solver = "liblinear"
    _refused(small, "the meta-learner: a one-vs-rest LogisticRegression", "multinomial")


@pytest.mark.parametrize(
    ("scaler", "found"),
    [
        (SplineTransformer(), "SplineTransformer"),
        (MaxAbsScaler(), "MaxAbsScaler"),
        (FunctionTransformer(), "FunctionTransformer"),
        (make_pipeline(MinMaxScaler(), SplineTransformer()), "SplineTransformer"),
        (knn(), "KNeighborsClassifier"),
    ],
)
def test_scaler(small: Case, scaler: Any, found: str) -> None:
    scaler.fit(small.training, draw(90, seed=1)[1])
    _refused(small, "the scaler: ", found, "MinMaxScaler, StandardScaler", scaler=scaler)


def test_stack_of_another_kind(small: Case) -> None:
    forest = RandomForestClassifier(2).fit(small.training, draw(90, seed=1)[1])
    _refused(small, "the stack: RandomForestClassifier", "StackingClassifier", stack=forest)
    _refused(small, "the stack: StackingRegressor", "StackingClassifier", stack=StackingRegressor([("a", knn())]))
    _refused(small, "the stack: str", "StackingClassifier", stack="stack.joblib")
    _refused(small, "the stack: Pipeline", "StackingClassifier", stack=make_pipeline(MinMaxScaler(), small.stack))


def test_multilabel_stack(small: Case) -> None:
    labels = np.column_stack([np.arange(90) % 2, np.arange(90) % 3 == 0]).astype(int)
    stack = StackingClassifier([("knn", knn())], KNeighborsClassifier(), cv=2).fit(small.training, labels)
    _refused(small, "the stack: several labels a row", "one label a row", stack=stack)


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_stacked_by_something_else(fit: FitStack, method: str) -> None:
    case = fit(SVC(probability=True), stack_method=method)
    _refused(case, "base estimator 'first'", f"an estimator stacked by {method}", "predict_proba")


def test_prefitted_estimator_that_knows_fewer_classes(small: Case) -> None:
    scaled, labels = small.scaler.transform(small.training), draw(90, seed=1)[1]
    two = labels != "jazz"
    stack = StackingClassifier([("two", knn().fit(scaled[two], labels[two]))], LogisticRegression(), cv="prefit")
    _refused(small, "base estimator 'two'", "knows 2 of 3 classes", stack=stack.fit(scaled, labels))


def test_calibrated_svc_without_probabilities_is_fine(fit: FitStack) -> None:
    assert fit(_calibrated(SVC(probability=False))).export().name == "1"
