"""`genrestack export --stack` with what people have pickled: wrapped stacks, names of classes, code of their own."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from export.conftest import NAMES
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, OneHotEncoder
from sklearn.svm import SVC, LinearSVC
from training.cli.export_calls import (
    CODES,
    ENCODER,
    LABELS,
    ROWS,
    TRAINING,
    WORDS,
    exported_model,
    one_line,
    run_export,
    stacked,
)


def test_pipeline_needs_no_scaler(files: Path) -> None:
    result = run_export(files, make_pipeline(MinMaxScaler(), stacked()).fit(TRAINING, LABELS))
    model = exported_model(files, result)
    assert "found: MinMaxScaler -> StackingClassifier of knn\n" in result.output
    assert [part.name for part in model.parts] == ["scaler", "knn", "meta"]
    assert list(model.classes) == WORDS
    assert "--classes" not in result.output


def test_search(files: Path) -> None:
    search = GridSearchCV(stacked(), {"knn__n_neighbors": [3, 5]}, cv=2).fit(TRAINING, LABELS)
    result = run_export(files, search)
    exported_model(files, result)
    assert "found: StackingClassifier of knn (the best of GridSearchCV)\n" in result.output


def test_dict_with_scaler_and_encoder(files: Path) -> None:
    scaler = MinMaxScaler().fit(TRAINING)
    result = run_export(
        files, {"model": stacked().fit(scaler.transform(TRAINING), CODES), "scaler": scaler, "encoder": ENCODER}
    )
    assert list(exported_model(files, result).classes) == WORDS
    assert "found: MinMaxScaler -> StackingClassifier of knn; labels from LabelEncoder\n" in result.output
    joblib.dump(MinMaxScaler().fit(ROWS), files / "other.joblib")
    one_line(
        run_export(files, None, "--scaler", files / "other.joblib"), "a scaler was given, and MinMaxScaler lies beside"
    )


@pytest.mark.parametrize("dump", [joblib.dump, pickle.dump], ids=["joblib", "pickle"])
def test_several_objects_in_one_file(files: Path, dump: Any) -> None:
    """Dumped one after the other: reading the first alone loses the scaler."""
    scaler = MinMaxScaler().fit(TRAINING)
    with (files / "mine.joblib").open("wb") as file:
        for obj in (stacked().fit(scaler.transform(TRAINING), CODES), scaler, ENCODER, ROWS):
            dump(obj, file)
    result = run_export(files, None)
    assert list(exported_model(files, result).classes) == WORDS
    assert "found: MinMaxScaler -> StackingClassifier of knn; labels from LabelEncoder\n" in result.output


def test_two_models(files: Path) -> None:
    fitted = {"first": stacked().fit(TRAINING, LABELS), "second": stacked().fit(TRAINING, LABELS)}
    one_line(
        run_export(files, fitted), "the dict holds 2 models: 'first' (StackingClassifier), 'second' (StackingClass"
    )


def test_columns_that_the_model_was_not_fitted_on(files: Path) -> None:
    named = pd.DataFrame(TRAINING, columns=list(NAMES))
    pipeline = make_pipeline(MinMaxScaler().set_output(transform="pandas"), stacked()).fit(named, LABELS)
    wide = pd.DataFrame(ROWS, columns=list(NAMES))
    wide.insert(1, "year", 1999)
    wide.to_csv(files / "wide.csv", index=False)
    result = run_export(files, pipeline, rows="wide.csv")
    assert [feature.name for feature in exported_model(files, result).features] == list(NAMES)
    assert "left out, since the model was not fitted on them: 'year'\n" in result.output
    wide.drop(columns="beta").to_csv(files / "narrow.csv", index=False)
    one_line(run_export(files, pipeline, rows="narrow.csv"), "the rows lack 'beta', which the model was fitted on")


# --classes


def test_codes_are_pointed_out(files: Path) -> None:
    result = run_export(files, stacked().fit(TRAINING, CODES))
    assert list(exported_model(files, result).classes) == ["0", "1", "2"]
    assert "its classes are codes (0, 1, 2); name them with --classes\n" in result.output


@pytest.mark.parametrize(
    "form",
    ["commas", "lines", "windows", "one line", "joblib", "pickle", "list", "dict", ".npy", "objects.npy", ".json"],
)
def test_classes(files: Path, form: str) -> None:
    given: Any = files / "names"
    match form:
        case "commas":
            given = "blues, jazz,röck"
        case "lines":
            (files / "names").write_text("blues\njazz\n\nröck\n", encoding="utf-8")
        case "windows":
            (files / "names").write_bytes("\ufeffblues\r\njazz\r\nröck".encode())
        case "one line":
            (files / "names").write_text("blues,jazz,röck\n", encoding="utf-8")
        case "joblib":
            joblib.dump(ENCODER, files / "names", compress=3)
        case "pickle":
            (files / "names").write_bytes(pickle.dumps(ENCODER))
        case "list":
            joblib.dump(WORDS, files / "names")
        case "dict":
            joblib.dump(dict(enumerate(WORDS)), files / "names")
        case ".json":
            given = files / "names.json"
            given.write_text(json.dumps({str(code): word for code, word in enumerate(WORDS)}))
        case _:
            given = files / "names.npy"
            np.save(given, np.array(WORDS, dtype=object if form == "objects.npy" else None), allow_pickle=True)
    result = run_export(files, stacked().fit(TRAINING, CODES), "--classes", given)
    assert list(exported_model(files, result).classes) == WORDS
    assert "; labels from " in result.output
    assert "codes" not in result.output


@pytest.mark.parametrize(
    ("given", "content", "expected_message"),
    [
        (
            "blues,jazz",
            None,
            "classes needs 3 different names, one for each of the model's classes (0, 1, 2), but got bl",
        ),
        ("a,b,a", None, "but got a, b, a; 'a' is there more than once"),
        ("blues", None, "classes: there is no file blues; name one, or give the names with commas between them"),
        ("names", b"\n\n", "names holds no class names; write one a line"),
        ("names", b"a\nb\xff\n", "names is neither text in UTF-8 (byte 3) nor a pickle; write one class name a line"),
        ("names", b"a\nb\nc\nd\n", "but got a, b, c, d"),
        ("names.json", b'{"0": ', "names.json, line 1: this is not JSON; write a list of names"),
        (
            "names.json",
            b"3",
            "names.json holds something else (int); a fitted LabelEncoder or a list of names is needed",
        ),
        ("names.npy", b"blues", "names.npy is not an array that NumPy saved; write it with numpy.save"),
        ("names.pkl", b"blues\n", "names.pkl is not a pickle of an estimator"),
        (
            "names.pkl",
            pickle.dumps(OneHotEncoder()),
            "names.pkl holds something else (OneHotEncoder); a fitted LabelEncoder or a list",
        ),
        (
            "names.pkl",
            pickle.dumps(LabelEncoder()),
            "names.pkl holds something else (LabelEncoder); a fitted LabelEncoder or a list",
        ),
        (
            "names.pkl",
            pickle.dumps(LabelEncoder().fit(["a", "b"])),
            "the LabelEncoder for the classes knows 2 names (a, b)",
        ),
    ],
)
def test_classes_that_do_not_fit(
    files: Path, given: str, content: bytes | None, expected_message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    if content is not None:
        (files / given).write_bytes(content)
    one_line(run_export(files, stacked().fit(TRAINING, CODES), "--classes", given), expected_message)
    assert not (files / "models").exists()


def test_folder_as_classes(files: Path) -> None:
    one_line(run_export(files, stacked().fit(TRAINING, CODES), "--classes", files), f"there is no file {files}")


# one argument from being exportable


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (SVC, "SVC(probability=True) or CalibratedClassifierCV(SVC(), ensemble=False)"),
        (lambda: make_pipeline(MinMaxScaler(), SVC()), "SVC(probability=True) or "),
        (LinearSVC, "CalibratedClassifierCV(LinearSVC())"),
    ],
    ids=["svc", "svc in a pipeline", "linear"],
)
def test_without_probabilities(files: Path, kind: Callable[[], Any], change: str) -> None:
    """By itself it is refused, and a stack takes what it predicts."""
    refused = run_export(files, kind().fit(TRAINING, LABELS))
    one_line(
        refused,
        "the model: ",
        f"without predict_proba is not supported; supported: estimators with probabilities; fit it again with {change}",
    )
    assert run_export(files, stacked(kind()).fit(TRAINING, LABELS)).exit_code == 0
