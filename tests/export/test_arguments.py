"""`export_stack` checks what it is given, and names the culprit."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from export.conftest import NAMES, Case, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler

from genrestack_bundle import BundleError, open_bundle
from genrestack_export import ExportError, Float32Warning


def _refused(case: Case, expected_message: str, **changes: Any) -> None:
    with pytest.raises(ExportError, match=expected_message):
        case.export(**changes)
    assert not case.models_dir.exists()


@pytest.mark.parametrize(
    ("names", "expected_message"),
    [
        (NAMES[:3], "3 feature names were given, but the stack takes 4 columns"),
        ([*NAMES, "more"], "5 feature names were given, but the stack takes 4 columns"),
        ([], "0 feature names"),
        (["alpha", "beta", "alpha", "beta"], "duplicate feature names: alpha, beta"),
        ([0, 1, 2, 3], "feature names have to be text"),
        (["alpha", "beta", None, "delta"], "feature names have to be text"),
    ],
)
def test_feature_names(small: Case, names: Any, expected_message: str) -> None:
    _refused(small, expected_message, feature_names=names)


def test_feature_names_may_be_an_index_of_columns(small: Case) -> None:
    path = small.export(feature_names=pd.DataFrame(columns=list(NAMES)).columns)
    assert [feature.name for feature in open_bundle(path).model.features] == list(NAMES)


@pytest.mark.parametrize(
    ("classes", "expected_message"),
    [
        (["a", "b"], "classes needs 3 different names, .* but got a, b"),
        (["a", "b", "c", "d"], "classes needs 3 different names, .* but got a, b, c, d"),
        (["a", "b", "a"], "classes needs 3 different names, .* but got a, b, a"),
        ([], "classes needs 3 different names"),
    ],
)
def test_classes(small: Case, classes: list[str], expected_message: str) -> None:
    _refused(small, expected_message, classes=classes)


def test_classes_default_to_the_stacks_own(small: Case) -> None:
    assert list(open_bundle(small.export()).model.classes) == ["blues", "jazz", "röck"]
    assert list(open_bundle(small.export(classes=("x", "y", "z"))).model.classes) == ["x", "y", "z"]


def _with(value: float) -> Any:
    rows = draw(5, seed=3)[0]
    rows[3, 2] = value
    return rows


@pytest.mark.parametrize("what", ["reference_rows", "training_rows"])
@pytest.mark.parametrize(
    ("rows", "expected_message"),
    [
        (_with(np.nan), "row 3, feature 'gamma' is nan; remove or fill"),
        (_with(-np.inf), "row 3, feature 'gamma' is -inf"),
        (np.zeros((0, 4)), r"have the shape \(0, 4\), but \(n, 4\) with n ≥ 1"),
        ([], r"have the shape \(0,\)"),
        (np.zeros((2, 3)), r"have the shape \(2, 3\), but \(n, 4\)"),
        (np.zeros(4), r"have the shape \(4,\)"),
        (np.zeros((1, 2, 4)), r"have the shape \(1, 2, 4\)"),
        ([["a", "b", "c", "d"]], r"are not numbers; pass an array of shape \(n, 4\)"),
        ([[1, 2, 3, 4], [1, 2]], "are not numbers"),
    ],
)
def test_rows(small: Case, what: str, rows: Any, expected_message: str) -> None:
    _refused(small, f"{what}.*{expected_message}", **{what: rows})


def test_beyond_float32(small: Case) -> None:
    _refused(
        small, r"reference_rows: row 3, feature 'gamma' is 1e\+39, beyond float32.*rescale", reference_rows=_with(1e39)
    )


def test_training_rows_beyond_float32_still_give_a_proof(small: Case) -> None:
    path = small.export(training_rows=np.vstack([small.training, np.full((1, 4), 1e300), np.full((1, 4), -1e300)]))
    assert open_bundle(path).model.features[2].seen_max == 1e300


def test_coarse_rounding_is_warned_of_by_feature(small: Case) -> None:
    """A timestamp in seconds: float32 knows it to two minutes."""
    training = small.training.copy()
    training[:, 1] += 1.7e9
    scaler = MinMaxScaler().fit(training)
    stack = small.stack.fit(scaler.transform(training), draw(90, seed=1)[1])
    rows = small.rows.copy()
    rows[:, 1] += 1.7e9
    with pytest.warns(
        Float32Warning, match="rounds 'beta' by more than 1e-04 of the spread.*Subtract an offset"
    ) as heard:
        path = small.export(stack=stack, scaler=scaler, reference_rows=rows)
    assert "alpha" not in str(heard[0].message)
    assert heard[0].filename.endswith("conftest.py")
    assert path.name == "1"


@pytest.mark.parametrize("precision", ["half", "", "Single", None])
def test_precision(small: Case, precision: Any) -> None:
    _refused(small, re.escape(f"precision is {precision!r}; choose single or double"), precision=precision)


@pytest.mark.parametrize("name", ["", "../up", "a b"])
def test_model_name(small: Case, name: str) -> None:
    with pytest.raises(BundleError, match="cannot name a model"):
        small.export(name=name)
    assert not small.models_dir.exists()


def test_report_of_another_name(small: Case) -> None:
    _refused(small, r"report takes report\.html and metrics\.json, not other\.txt", report={"other.txt": b""})


def test_unfitted_stack(small: Case) -> None:
    _refused(small, "the stack is not fitted; fit it first", stack=StackingClassifier([("first", knn())]))


def test_unfitted_scaler(small: Case) -> None:
    _refused(small, "the scaler is not fitted; fit it first", scaler=MinMaxScaler())


@pytest.mark.parametrize("scaler", ["text", MinMaxScaler, 3])
def test_scaler_that_is_none(small: Case, scaler: Any) -> None:
    _refused(small, "the scaler is not fitted; .*pass the right object", scaler=scaler)


def test_scaler_of_another_width(small: Case) -> None:
    scaler = MinMaxScaler().fit(np.eye(5))
    _refused(small, "the scaler was fitted on 5 columns and the stack on 4; pass the pair", scaler=scaler)


def test_names_the_scaler_was_fitted_with(small: Case) -> None:
    """A scaler fitted on a DataFrame knows the order of its columns, and that order is checked."""
    scaler = MinMaxScaler().fit(pd.DataFrame(small.training, columns=list(NAMES)))
    _refused(
        small,
        "column 0 is named 'delta', but the scaler was fitted with 'alpha' there",
        scaler=scaler, feature_names=["delta", "beta", "gamma", "alpha"],
    )  # fmt: skip
    assert small.export(scaler=scaler, training_rows=small.training).name == "1"


def test_names_the_stack_was_fitted_with(small: Case) -> None:
    named = pd.DataFrame(small.training, columns=list(NAMES))
    stack = StackingClassifier([("knn", knn())], LogisticRegression(), cv=2).fit(named, draw(90, seed=1)[1])
    _refused(
        small,
        "column 3 is named 'epsilon', but the stack was fitted with 'delta' there",
        stack=stack, scaler=None, feature_names=[*NAMES[:3], "epsilon"],
    )  # fmt: skip
    assert small.export(stack=stack, scaler=None).name == "1"
