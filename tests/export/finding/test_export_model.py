"""`export_model` finds the model in whatever wraps it; scikit-learn's own answers to raw rows are the reference."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from export.conftest import NAMES, knn
from export.finding.wrapped import (
    CODED,
    CODES,
    ENCODER,
    LABELS,
    PIPELINE,
    ROWS,
    SCALED,
    SCALER,
    STACK,
    TRAINING,
    WORDS,
    check_answers,
    exported,
    stacked,
)
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelBinarizer, LabelEncoder, MinMaxScaler, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from genrestack_export import ExportError, UnsupportedEstimator
from genrestack_export.finding.unwrap import unwrap

GRID = {"knn__n_neighbors": [3, 5]}
OF_PIPELINE = {f"stack__{name}": values for name, values in GRID.items()}


class Kept(NamedTuple):
    clf: Any
    sc: Any
    enc: Any


@dataclass
class Artifacts:
    model: Any
    scaler: Any


class Sampler:
    """As imbalanced-learn has them: rows are drawn while fitting, and are let through after."""

    def fit_resample(self, rows: Any, labels: Any) -> Any:
        return rows, labels


class Holder:
    """Somebody's own class."""

    def __init__(self, **kept: Any) -> None:
        vars(self).update(kept)


def _scaled(rows: npt.NDArray[np.float64]) -> Any:
    return SCALER.transform(rows)


def _with_sampler() -> Pipeline:
    pipeline = Pipeline([("scaler", SCALER), ("draw", "passthrough"), ("stack", STACK)])
    pipeline.steps[1] = ("draw", Sampler())
    return pipeline


def _searched(kind: Any, **options: Any) -> Any:
    return kind(PIPELINE, OF_PIPELINE, cv=2, **options).fit(TRAINING, LABELS)


# What was pickled → what it answers to raw rows, and what is said of it.
FOUND: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "stack": (lambda: stacked().fit(TRAINING, LABELS), None, "StackingClassifier of knn"),
    "pipeline": (lambda: PIPELINE, PIPELINE.predict_proba, "MinMaxScaler -> StackingClassifier of knn"),
    "pipeline in a pipeline": (
        lambda: make_pipeline("passthrough", PIPELINE), PIPELINE.predict_proba, "MinMaxScaler -> StackingClassifier"
    ),
    "scaler in a pipeline of its own": (
        lambda: make_pipeline(make_pipeline(FrozenEstimator(SCALER)), STACK), None, "MinMaxScaler -> StackingClassifier"
    ),
    "pipeline with a sampler": (
        _with_sampler, lambda rows: STACK.predict_proba(_scaled(rows)), "MinMaxScaler -> StackingClassifier of knn"
    ),
    "grid search": (
        lambda: GridSearchCV(stacked(), GRID, cv=2).fit(TRAINING, LABELS), None, "of knn (the best of GridSearchCV)"
    ),
    "random search over a pipeline": (
        lambda: _searched(RandomizedSearchCV, n_iter=2, random_state=0), None, "-> StackingClassifier of knn (the best"
    ),
    "halving search": (lambda: _searched(HalvingGridSearchCV), None, "(the best of HalvingGridSearchCV)"),
    "search refitted by one of several scores": (
        lambda: _searched(GridSearchCV, scoring=["accuracy", "f1_macro"], refit="accuracy"), None, "GridSearchCV"
    ),
    "search in a pipeline": (
        lambda: make_pipeline(MinMaxScaler(), GridSearchCV(stacked(), GRID, cv=2)).fit(TRAINING, LABELS), None, "-> "
    ),
    "frozen": (lambda: FrozenEstimator(PIPELINE), None, "MinMaxScaler -> StackingClassifier"),
    "frozen in a frozen search": (
        lambda: FrozenEstimator(make_pipeline(SCALER, FrozenEstimator(STACK))), None, "MinMaxScaler -> Stacking"
    ),
}  # fmt: skip

# Containers of a stack on codes, its scaler and its encoder.
CONTAINERS: dict[str, Any] = {
    "dict": {"model": CODED, "scaler": SCALER, "encoder": ENCODER},
    "dict by other names": {"clf": CODED, "preprocessor": SCALER, "le": ENCODER},
    "dict by no usual name": {"a": ENCODER, "b": SCALER, "c": CODED},
    "tuple": (CODED, SCALER, ENCODER),
    "list": [SCALER, ENCODER, CODED],
    "named tuple": Kept(CODED, SCALER, ENCODER),
    "namespace": SimpleNamespace(model=CODED, scaler=SCALER, classes=list(WORDS)),
    "steps": [("scaler", SCALER), ("stack", CODED), ("encoder", ENCODER)],
    "array of objects": np.array([CODED, SCALER, ENCODER], dtype=object),
    "dict saved by NumPy": np.array({"model": CODED, "scaler": SCALER, "encoder": ENCODER}, dtype=object),
    "own class": Holder(model=CODED, scaler=SCALER, label_encoder=ENCODER),
    "nested": {"model": CODED, "artifacts": {"scaler": SCALER, "id2label": dict(enumerate(WORDS))}},
    "dataclass in a dict": {"fitted": Artifacts(CODED, SCALER), "label_map": {w: i for i, w in enumerate(WORDS)}},
    "binarizer": {"model": CODED, "scaler": SCALER, "binarizer": LabelBinarizer().fit(LABELS)},
    "ordinal encoder": {"model": CODED, "scaler": SCALER, "y_encoder": OrdinalEncoder().fit(LABELS[:, None])},
    "array of names": {"model": CODED, "scaler": SCALER, "class_names": ENCODER.classes_},
    "names without a name": (CODED, SCALER, list(WORDS)),
    "with figures and data": {
        "model": CODED, "scaler": SCALER, "encoder": ENCODER, "accuracy": 0.9, "history": [0.1] * 500, "note": "best",
        "X_test": ROWS, "table": pd.DataFrame(ROWS), "libraries": ["numpy", "pandas", "sklearn"], "none": None,
    },
    "members beside the stack": {"knn": knn().fit(SCALED, CODES), "stack": CODED, "scaler": SCALER, "encoder": ENCODER},
    "template beside the stack": {"model": CODED, "template": stacked(), "scaler": SCALER, "encoder": ENCODER},
    "pipeline and its scaler": {"model": make_pipeline(SCALER, CODED), "scaler": SCALER, "encoder": ENCODER},
    "pipeline and a copy of its scaler": {
        "model": make_pipeline(SCALER, CODED), "encoder": ENCODER,
        "scaler": MinMaxScaler().fit(pd.DataFrame(TRAINING, columns=list(NAMES))),
    },
    "stack alone and in its pipeline": {"stack": CODED, "pipeline": make_pipeline(SCALER, CODED), "encoder": ENCODER},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.parametrize("kind", FOUND)
def test_wrapped_stack(kind: str, tmp_path: Path) -> None:
    make, answers, said = FOUND[kind]
    obj = make()
    bundle = exported(obj, tmp_path)
    check_answers(bundle, answers or obj.predict_proba)
    assert tuple(bundle.model.classes) == WORDS
    assert said in unwrap(obj).found


@pytest.mark.parametrize("kind", CONTAINERS)
def test_container(kind: str, tmp_path: Path) -> None:
    obj = CONTAINERS[kind]
    bundle = exported(obj, tmp_path)
    check_answers(bundle, lambda rows: CODED.predict_proba(SCALER.transform(rows)))
    assert tuple(bundle.model.classes) == WORDS
    assert unwrap(obj).found.startswith("MinMaxScaler -> StackingClassifier of knn; labels from ")


def test_encoder_of_words_that_the_stack_knows_itself(tmp_path: Path) -> None:
    bundle = exported({"model": STACK, "scaler": SCALER, "encoder": ENCODER}, tmp_path)
    assert tuple(bundle.model.classes) == WORDS


def test_encoder_of_more_classes_than_the_stack_was_fitted_on(tmp_path: Path) -> None:
    kept = LABELS != "blues"
    stack = stacked().fit(SCALED[kept], CODES[kept])
    assert tuple(exported((stack, SCALER, ENCODER), tmp_path).model.classes) == ("jazz", "röck")


def test_scaler_beside_what_contains_none(tmp_path: Path) -> None:
    for scaler in (SCALER, make_pipeline(SCALER), FrozenEstimator(SCALER)):
        bundle = exported({"model": CODED, "encoder": ENCODER}, tmp_path, scaler)
        check_answers(bundle, lambda rows: CODED.predict_proba(SCALER.transform(rows)))


@pytest.mark.parametrize("scaler", [np.eye(4), pd.DataFrame(ROWS), "scaler.joblib", {"scaler": SCALER}], ids=type)
def test_scaler_that_is_none(scaler: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the scaler"):
        exported(STACK, tmp_path, scaler)


def test_scaler_that_the_pipeline_contains_is_passed_once(tmp_path: Path) -> None:
    check_answers(exported(PIPELINE, tmp_path, MinMaxScaler().fit(TRAINING)), PIPELINE.predict_proba)
    check_answers(exported((STACK, SCALER), tmp_path, SCALER), PIPELINE.predict_proba)


def test_transformers_are_put_in_order_by_their_widths() -> None:
    reduction = PCA(2).fit(SCALED)
    stack = stacked().fit(reduction.transform(SCALED), LABELS)
    for obj in ({"pca": reduction, "scaler": SCALER, "model": stack}, (stack, SCALER, reduction)):
        source = unwrap(obj)
        assert source.found == "MinMaxScaler -> PCA -> StackingClassifier of knn"
        assert isinstance(source.preprocessing, Pipeline)
        assert np.array_equal(source.preprocessing.transform(ROWS), reduction.transform(SCALER.transform(ROWS)))
    assert (
        unwrap({"pca": reduction, "model": stack}, SCALER).found == "MinMaxScaler -> PCA -> StackingClassifier of knn"
    )


def test_preprocessing_pipeline_and_a_step_of_it() -> None:
    prepared = make_pipeline(SimpleImputer(), MinMaxScaler()).fit(TRAINING)
    source = unwrap({"model": STACK, "prep": prepared, "scaler": prepared[-1]})
    assert source.found == "SimpleImputer -> MinMaxScaler -> StackingClassifier of knn"


# what is refused


@pytest.mark.parametrize(
    ("obj", "expected_message"),
    [
        (GridSearchCV(stacked(), GRID), "GridSearchCV is not fitted, so it has no best estimator; fit it first"),
        (
            GridSearchCV(stacked(), GRID, cv=2, refit=False).fit(TRAINING, LABELS),
            r"GridSearchCV\(refit=False\) keeps no fitted model; fit it with refit=True",
        ),
        ({"a": STACK, "b": CODED}, r"the dict holds 2 models: 'a' \(Stacking.*\), 'b' \(Stacking.*\); export the one"),
        ((STACK, CODED), "the tuple holds 2 models: '0' "),
        ({"model": STACK, "old_model": CODED}, "the dict holds 2 models: 'model' .*, 'old_model' "),
        (
            {"model": STACK, "s": SCALER, "t": StandardScaler().fit(TRAINING)},
            r"nothing says in which order rows pass them: 's' \(MinMaxScaler\), 't' \(StandardScaler\); leave in those",
        ),
        (
            {"model": PIPELINE, "scaler": MinMaxScaler().fit(ROWS)},
            "the entry 'scaler' is a MinMaxScaler, and the model begins with another MinMaxScaler that was fitted",
        ),
        (
            {"model": CODED, "scaler": SCALER, "classes": ["a", "b", "c"], "labels": ["d", "e", "f"]},
            "several entries name the classes differently: 'classes', 'labels'; leave in the one",
        ),
        ({"model": stacked()}, "the stack is not fitted; fit it first"),
        (make_pipeline(MinMaxScaler(), stacked()), "the stack is not fitted; fit it first"),
    ],
)
def test_refused(obj: Any, expected_message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=expected_message):
        exported(obj, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_two_scalers_of_a_kind(tmp_path: Path) -> None:
    other = MinMaxScaler().fit(ROWS)
    with pytest.raises(
        ExportError, match="a scaler was given, and MinMaxScaler lies beside the model as well; leave one"
    ):
        exported((STACK, SCALER), tmp_path, other)
    with pytest.raises(
        ExportError, match="the scaler that was given is a MinMaxScaler, and the model begins with another"
    ):
        exported(PIPELINE, tmp_path, other)


@pytest.mark.parametrize(
    ("obj", "found", "supported"),
    [
        ({}, "dict", "this one holds nothing"),
        ({"scaler": SCALER, "score": 0.9}, "dict", "this one holds scaler: MinMaxScaler, score: float"),
        ([1, 2, 3], "list", "this one holds 0: int, 1: int, 2: int"),
        (Holder(scaler=SCALER), "Holder", "this one holds scaler: MinMaxScaler"),
        ("stack.joblib", "str", "a fitted classifier"),
        (None, "NoneType", "a fitted classifier"),
        (pd.DataFrame(ROWS), "DataFrame", "a fitted classifier"),
        (StackingClassifier, "ABCMeta", "a fitted classifier"),
        (ColumnTransformer([("all", MinMaxScaler(), [0])]).fit(TRAINING), "ColumnTransformer", "a fitted classifier"),
    ],
)
def test_no_model(obj: Any, found: str, supported: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedEstimator) as refused:
        exported(obj, tmp_path)
    assert str(refused.value).startswith(("the stack: ", "the model: "))
    assert f": {found} is not supported; supported: " in str(refused.value)
    assert supported in str(refused.value)


class Wrapper(Holder):
    """Somebody's own class that answers by what it holds."""

    def predict(self, rows: Any) -> Any:
        return self.inner.predict(self.scaler.transform(rows))  # type: ignore[attr-defined]


def test_class_that_answers_by_code_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(
        UnsupportedEstimator, match=r"the stack: Wrapper is not .*holds inner: StackingCl.*, scaler: MinMax"
    ):
        exported(Wrapper(inner=STACK, scaler=SCALER), tmp_path)


def test_encoder_of_something_else_is_left_aside() -> None:
    source = unwrap({"model": CODED, "scaler": SCALER, "encoder": LabelEncoder().fit(["yes", "no"])})
    assert source.classes is None
    assert source.found.endswith(
        "; labels from the model: left aside LabelEncoder 'encoder', which knows other classes"
    )


def test_competing_models_by_name() -> None:
    """Without a stack, and with two models, the one that is called a model is meant."""
    found = unwrap({"baseline": SVC().fit(SCALED, CODES), "model": knn().fit(SCALED, CODES), "scaler": SCALER}).found
    assert found == "MinMaxScaler -> KNeighborsClassifier"
