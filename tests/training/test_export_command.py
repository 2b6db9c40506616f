"""`genrestack export --stack` with what people have pickled: wrapped stacks, names of classes, code of their own."""

import json
import pickle
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from export.conftest import NAMES, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, OneHotEncoder
from sklearn.svm import SVC, LinearSVC

from genrestack_bundle import open_bundle
from genrestack_training.cli.export import export

TRAINING, LABELS = draw(90, seed=1)
ROWS, ROW_LABELS = draw(30, seed=2)
WORDS = ["blues", "jazz", "röck"]
ENCODER = LabelEncoder().fit(LABELS)
CODES = ENCODER.transform(LABELS)


def _stack(*more: Any) -> StackingClassifier:
    base = [("knn", knn()), *((f"more{i}", estimator) for i, estimator in enumerate(more))]
    return StackingClassifier(base, LogisticRegression(), cv=2)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a table of rows that were held out."""
    pd.DataFrame(ROWS, columns=list(NAMES)).assign(label=ROW_LABELS).to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def _export(files: Path, obj: Any, *more: object, rows: str = "rows.csv") -> Result:
    if obj is not None:
        joblib.dump(obj, files / "mine.joblib")
    given = ["--stack", files / "mine.joblib", "--rows", files / rows, "--models", files / "models", *more]
    return CliRunner().invoke(export, [str(argument) for argument in given])


def _model(files: Path, result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return open_bundle(files / "models" / "mine" / "1").model


def _one_line(result: Result, *phrases: str) -> None:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.splitlines()[-1:] == errors
    for phrase in phrases:
        assert phrase in errors[0]


def test_pipeline_needs_no_scaler(files: Path) -> None:
    result = _export(files, make_pipeline(MinMaxScaler(), _stack()).fit(TRAINING, LABELS))
    model = _model(files, result)
    assert "found: MinMaxScaler -> StackingClassifier of knn\n" in result.output
    assert [part.name for part in model.parts] == ["scaler", "knn", "meta"]
    assert list(model.classes) == WORDS
    assert "--classes" not in result.output


def test_search(files: Path) -> None:
    search = GridSearchCV(_stack(), {"knn__n_neighbors": [3, 5]}, cv=2).fit(TRAINING, LABELS)
    result = _export(files, search)
    _model(files, result)
    assert "found: StackingClassifier of knn (the best of GridSearchCV)\n" in result.output


def test_dict_with_scaler_and_encoder(files: Path) -> None:
    scaler = MinMaxScaler().fit(TRAINING)
    result = _export(
        files, {"model": _stack().fit(scaler.transform(TRAINING), CODES), "scaler": scaler, "encoder": ENCODER}
    )
    assert list(_model(files, result).classes) == WORDS
    assert "found: MinMaxScaler -> StackingClassifier of knn; labels from LabelEncoder\n" in result.output
    joblib.dump(MinMaxScaler().fit(ROWS), files / "other.joblib")
    _one_line(
        _export(files, None, "--scaler", files / "other.joblib"), "a scaler was given, and MinMaxScaler lies beside"
    )


@pytest.mark.parametrize("dump", [joblib.dump, pickle.dump], ids=["joblib", "pickle"])
def test_several_objects_in_one_file(files: Path, dump: Any) -> None:
    """Dumped one after the other: whoever reads the first alone loses the scaler."""
    scaler = MinMaxScaler().fit(TRAINING)
    with (files / "mine.joblib").open("wb") as file:
        for obj in (_stack().fit(scaler.transform(TRAINING), CODES), scaler, ENCODER, ROWS):
            dump(obj, file)
    result = _export(files, None)
    assert list(_model(files, result).classes) == WORDS
    assert "found: MinMaxScaler -> StackingClassifier of knn; labels from LabelEncoder\n" in result.output


def test_two_models(files: Path) -> None:
    fitted = {"first": _stack().fit(TRAINING, LABELS), "second": _stack().fit(TRAINING, LABELS)}
    _one_line(_export(files, fitted), "the dict holds 2 models: 'first' (StackingClassifier), 'second' (StackingClass")


def test_columns_that_the_model_was_not_fitted_on(files: Path) -> None:
    named = pd.DataFrame(TRAINING, columns=list(NAMES))
    pipeline = make_pipeline(MinMaxScaler().set_output(transform="pandas"), _stack()).fit(named, LABELS)
    wide = pd.DataFrame(ROWS, columns=list(NAMES))
    wide.insert(1, "year", 1999)
    wide.to_csv(files / "wide.csv", index=False)
    result = _export(files, pipeline, rows="wide.csv")
    assert [feature.name for feature in _model(files, result).features] == list(NAMES)
    assert "left out, since the model was not fitted on them: 'year'\n" in result.output
    wide.drop(columns="beta").to_csv(files / "narrow.csv", index=False)
    _one_line(_export(files, pipeline, rows="narrow.csv"), "the rows lack 'beta', which the model was fitted on")


# --classes


def test_codes_are_pointed_out(files: Path) -> None:
    result = _export(files, _stack().fit(TRAINING, CODES))
    assert list(_model(files, result).classes) == ["0", "1", "2"]
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
    result = _export(files, _stack().fit(TRAINING, CODES), "--classes", given)
    assert list(_model(files, result).classes) == WORDS
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
    _one_line(_export(files, _stack().fit(TRAINING, CODES), "--classes", given), expected_message)
    assert not (files / "models").exists()


def test_folder_as_classes(files: Path) -> None:
    _one_line(_export(files, _stack().fit(TRAINING, CODES), "--classes", files), f"there is no file {files}")


# --code

CODE = """
import numpy as np


def clean(rows):
    return np.nan_to_num(rows)
"""


def _pickle_from_a_notebook(files: Path) -> None:
    """Write a dict with a function of `__main__`, which is another program's when it is read."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(CODE, "notebook", "exec"), names)
    main = vars(sys.modules["__main__"])
    main["clean"] = names["clean"]
    try:
        fitted = make_pipeline(MinMaxScaler(), _stack()).fit(TRAINING, LABELS)
        joblib.dump({"model": fitted, "clean": names["clean"]}, files / "mine.joblib")
    finally:
        del main["clean"]


def test_code_of_a_notebook(files: Path) -> None:
    _pickle_from_a_notebook(files)
    _one_line(
        _export(files, None),
        f"{files / 'mine.joblib'} needs 'clean' of the notebook or script that wrote it (__main__); name a file that",
        "--code FILE.py",
    )
    (files / "other.py").write_text("")
    _one_line(_export(files, None, "--code", files / "other.py"), "'clean'", "named with --code does not define it")
    (files / "notebook.py").write_text(CODE)
    result = _export(files, None, "--code", files / "other.py", "--code", files / "notebook.py")
    _model(files, result)
    assert not hasattr(sys.modules["__main__"], "clean")


def test_code_of_a_module(files: Path) -> None:
    """As when `train.py` has imported the function: the file is found under its own name."""
    (files / "my_steps.py").write_text(CODE)
    (files / "mine.joblib").write_bytes(_named("my_steps", "clean"))
    _one_line(
        _export(files, None), "needs the Python module 'my_steps', which is not installed here; ", "--code FILE.py"
    )
    _one_line(_export(files, None, "--code", files / "my_steps.py"), "the stack: function is not supported")


def test_code_that_fails(files: Path) -> None:
    (files / "broken.py").write_text("first = 1\nsecond = undefined\n")
    result = _export(
        files, make_pipeline(MinMaxScaler(), _stack()).fit(TRAINING, LABELS), "--code", files / "broken.py"
    )
    _one_line(result, f"{files / 'broken.py'}, line 2: NameError while the file ran; mend it, or name a file that only")


@pytest.mark.parametrize("arguments", [["--classes", "a,b"], ["--code", "network.py"]])
def test_of_a_run(arguments: list[str]) -> None:
    result = CliRunner().invoke(export, ["run", *arguments])
    assert result.exit_code == 2
    assert "--classes and --code belong to --stack; a run names its classes" in result.output


# pickles that cannot be read


class Sulking:
    """An object that cannot be rebuilt."""

    def __reduce__(self) -> Any:
        return np.random.RandomState, ("sulking",)


def _named(module: str, name: str) -> bytes:
    """Pickle a reference to what may not be there."""
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + b"".join(texts) + b"\x93."


@pytest.mark.parametrize(
    ("content", "phrases"),
    [
        (
            _named("sklearn.ensemble.forest", "F"),
            ("other library versions", "'sklearn.ensemble.forest'", "scikit-learn "),
        ),
        (_named("sklearn.svm", "OldSVC"), ("other library versions", "'OldSVC' of 'sklearn.svm'", "scikit-learn ")),
        (_named("__main__", "Network"), ("needs 'Network' of the notebook or script", "--code FILE.py")),
        (_named("dill", "f"), ("needs the Python module 'dill', which is not installed here; install it",)),
        pytest.param(
            b"\x04\x22\x4d\x18rest",
            ("is compressed by LZ4, which is not installed here; install the package lz4",),
            marks=pytest.mark.skipif(find_spec("lz4") is not None, reason="lz4 is installed"),
        ),
        (b"PK\x03\x04model.pkl", ("is not a pickle of an estimator",)),
    ],
)
def test_what_the_unpickler_missed(files: Path, content: bytes, phrases: tuple[str, ...]) -> None:
    (files / "mine.joblib").write_bytes(content)
    _one_line(_export(files, None), str(files / "mine.joblib"), *phrases)


def test_object_that_cannot_be_rebuilt(files: Path) -> None:
    """Its bytes are fine; what it does when it is rebuilt is not."""
    (files / "mine.joblib").write_bytes(pickle.dumps({"model": Sulking()}))
    result = _export(files, None)
    _one_line(result, "cannot be rebuilt", "other library versions")
    assert "is not a pickle" not in result.output


# one argument from being exportable


@pytest.mark.parametrize(
    ("member", "change"),
    [
        (SVC(), "SVC(probability=True) or CalibratedClassifierCV(SVC(), ensemble=False)"),
        (make_pipeline(MinMaxScaler(), SVC()), "SVC(probability=True) or "),
        (LinearSVC(), "SVC(kernel='linear', probability=True)"),
    ],
    ids=["svc", "svc in a pipeline", "linear"],
)
def test_member_without_probabilities(files: Path, member: Any, change: str) -> None:
    result = _export(files, _stack(member).fit(TRAINING, LABELS))
    _one_line(result, "base estimator 'more0': ", f"predict_proba; fit the stack again with {change}")


def test_stack_method(files: Path) -> None:
    stack = _stack().set_params(stack_method="predict").fit(TRAINING, LABELS)
    _one_line(
        _export(files, stack), "stacked by predict", "fit the stack again with StackingClassifier(stack_method='auto')"
    )
