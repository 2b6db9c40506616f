"""Names of columns and classes that `export_model` finds or is given."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from export.conftest import NAMES
from export.finding.wrapped import (
    CODED,
    ENCODER,
    LABELS,
    PIPELINE,
    ROWS,
    SCALER,
    STACK,
    TRAINING,
    WORDS,
    check_answers,
    exported,
    stacked,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler

from genrestack_export import ExportError


def _named(rows: npt.NDArray[np.float64] = TRAINING) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(NAMES))


def test_names_of_the_fit_are_the_columns(tmp_path: Path) -> None:
    pipeline = make_pipeline(MinMaxScaler(), stacked()).fit(_named(), LABELS)
    for obj in (pipeline, {"model": pipeline}, {"model": STACK, "scaler": MinMaxScaler().fit(_named())}):
        bundle = exported(obj, tmp_path, feature_names=None)
        assert [feature.name for feature in bundle.model.features] == list(NAMES)


def test_columns_of_a_frame_are_taken_by_name(tmp_path: Path) -> None:
    pipeline = make_pipeline(MinMaxScaler(), stacked()).fit(_named(), LABELS)
    turned = _named(ROWS)[list(reversed(NAMES))].assign(label="blues")
    bundle = exported(pipeline, tmp_path, feature_names=None, reference_rows=turned, training_rows=_named())
    check_answers(bundle, lambda rows: np.asarray(pipeline.predict_proba(_named(rows))))
    assert np.array_equal(bundle.golden.rows[0], ROWS[0].astype(np.float32))
    with pytest.raises(ExportError, match="the rows lack 'beta', which the model takes"):
        exported(pipeline, tmp_path, feature_names=None, reference_rows=turned.drop(columns="beta"))


def test_names_in_the_container_or_of_the_frame(tmp_path: Path) -> None:
    kept = {"model": STACK, "scaler": SCALER, "feature_columns": list(NAMES), "classes": list(WORDS)}
    assert [f.name for f in exported(kept, tmp_path, feature_names=None).model.features] == list(NAMES)
    bundle = exported(PIPELINE, tmp_path, feature_names=None, reference_rows=_named(ROWS))
    assert [f.name for f in bundle.model.features] == list(NAMES)
    with pytest.raises(ExportError, match="fitted on rows without names; pass feature_names"):
        exported(PIPELINE, tmp_path, feature_names=None)


@pytest.mark.parametrize(
    "classes",
    [
        ENCODER,
        list(WORDS),
        np.array(WORDS),
        pd.Index(WORDS),
        dict(enumerate(WORDS)),
        {w: i for i, w in enumerate(WORDS)},
    ],
    ids=lambda given: type(given).__name__,
)
def test_classes(classes: Any, tmp_path: Path) -> None:
    bundle = exported((CODED, SCALER), tmp_path, classes=classes)
    assert tuple(bundle.model.classes) == WORDS


def test_classes_take_precedence_over_an_encoder(tmp_path: Path) -> None:
    bundle = exported(
        {"model": CODED, "scaler": SCALER, "encoder": ENCODER}, tmp_path, classes=["Blues", "Jazz", "Rock"]
    )
    assert list(bundle.model.classes) == ["Blues", "Jazz", "Rock"]


@pytest.mark.parametrize(
    ("classes", "expected_message"),
    [
        (["a", "b"], r"needs 3 different names, one for each of the model's classes \(0, 1, 2\), but got a, b"),
        (["a", "b", "a"], "but got a, b, a; 'a' is there more than once"),
        ("abc", "but got abc"),
        (["2", "1", "0"], "are those of the model in another order; its own is 0, 1, 2"),
        (LabelEncoder().fit(["a", "b"]), r"LabelEncoder for the classes knows 2 names \(a, b\), but .* a class .*2"),
        ({0: "a", 1: "b"}, "classes name 0, 1, but the model's classes are 0, 1, 2; name each of them"),
        ({0: "a", 1: "b", 2: "a"}, "'a' is there more than once"),
    ],
)
def test_classes_that_do_not_fit(classes: Any, expected_message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=expected_message):
        exported((CODED, SCALER), tmp_path / "models", classes=classes)
    assert not (tmp_path / "models").exists()


def test_encoder_of_other_words(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"knows 3 names .*, but the model has a class 'blues'"):
        exported((STACK, SCALER), tmp_path, classes=LabelEncoder().fit(["x", "y", "z"]))
