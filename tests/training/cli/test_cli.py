"""`genrestack train` and `genrestack export`, as a person runs them."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from export.conftest import NAMES, Case, draw, knn
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler

from genrestack_bundle import list_versions, open_bundle
from genrestack_training.cli.export import export
from genrestack_training.cli.train import train


def _in_process(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def _as_a_process(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "genrestack", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)


def _one_line(result: Result, *phrases: str, code: int = 1) -> None:
    """The command failed as it should: a status, one line of what is wrong, and no traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert result.output.splitlines()[-1] == errors[0]
    assert "Traceback" not in result.output
    for phrase in phrases:
        assert phrase in errors[0]


@pytest.fixture
def small(tmp_path: Path) -> Case:
    """A stack of one KNN."""
    training, labels = draw(90, seed=1)
    scaler = MinMaxScaler().fit(training)
    stack = StackingClassifier([("first", knn())], LogisticRegression(), cv=2).fit(scaler.transform(training), labels)
    return Case(stack, scaler, training, draw(30, seed=2)[0], tmp_path / "models")


@pytest.fixture
def files(small: Case, tmp_path: Path) -> Path:
    """Somebody's own pickles, and rows that were held out."""
    joblib.dump(small.stack, tmp_path / "mine.joblib")
    joblib.dump(small.scaler, tmp_path / "scaler.joblib")
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(small.stack))
    (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(small.scaler))
    pd.DataFrame(small.rows, columns=list(NAMES)).to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def _export(files: Path, *more: object, stack: str = "mine.joblib", rows: str = "rows.csv") -> Result:
    given = ("--stack", files / stack, "--rows", files / rows, "--models", files / "models")
    return _in_process(export, *given, *more)


@pytest.mark.parametrize("command", ["train", "export"])
def test_help_has_an_example(command: str) -> None:
    result = _in_process({"train": train, "export": export}[command], "--help")
    assert result.exit_code == 0
    assert f"genrestack {command} " in " ".join(result.output.split()).split("Example")[1]


def test_help_is_light(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom genrestack.cli.main import run\nstatus = run([sys.argv[1], '--help'])\n"
        "heavy = {'sklearn', 'tensorflow', 'pandas', 'onnxruntime', 'onnx', 'scipy', 'keras'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else status)\n"
    )
    for command in ("train", "export"):
        done = subprocess.run([sys.executable, "-c", script, command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


# export


@pytest.mark.parametrize("kind", ["joblib", "pkl"])
def test_own_pickles(files: Path, small: Case, kind: str) -> None:
    result = _export(files, "--scaler", files / f"scaler.{kind}", stack=f"mine.{kind}")
    assert result.exit_code == 0, result.output
    assert result.output.count("warning: ") == 1
    assert "warning: unpickling runs code from the file; only open files you trust" in result.output
    path = files / "models" / "mine" / "1"
    assert f"bundle: {path}\n" in result.output
    assert f"next: genrestack serve {files / 'models'}\n" in result.output
    assert "parity with the original: labels 54 of 54, max |Δp|" in result.output
    assert "; 0 rows left out on which nearest neighbours tie" in result.output
    bundle = open_bundle(path)
    assert [feature.name for feature in bundle.model.features] == list(NAMES)
    assert list(bundle.model.classes) == list(small.stack.classes_)


def test_name_precision_and_next_version(files: Path) -> None:
    for version in (1, 2):
        result = _export(files, "--scaler", files / "scaler.joblib", "--name", "other", "--precision", "double")
        assert result.exit_code == 0, result.output
        assert f"{files / 'models' / 'other' / str(version)}" in result.output
    assert open_bundle(files / "models" / "other" / "2").model.parity.tolerance == 5e-6


def test_label_column_of_the_rows_is_left_out(files: Path, small: Case) -> None:
    frame = pd.DataFrame(small.rows, columns=list(NAMES)).assign(genre=draw(30, seed=2)[1], filename="x.wav")
    frame.to_csv(files / "labelled.csv", index=False)
    result = _export(files, "--scaler", files / "scaler.joblib", "--label", "genre", rows="labelled.csv")
    assert result.exit_code == 0, result.output


def test_scaler_fitted_on_a_data_frame(files: Path, small: Case) -> None:
    """Its names are used, and scikit-learn's warning that an array has none is not passed on."""
    joblib.dump(small.scaler.fit(pd.DataFrame(small.training, columns=list(NAMES))), files / "named.joblib")
    result = _export(files, "--scaler", files / "named.joblib")
    assert result.exit_code == 0, result.output
    assert result.output.count("warning") == 1
    pd.DataFrame(small.rows, columns=[*NAMES[1:], NAMES[0]]).to_csv(files / "turned.csv", index=False)
    _one_line(
        _export(files, "--scaler", files / "named.joblib", rows="turned.csv"),
        "column 0 is named 'beta', but the scaler was fitted with 'alpha' there",
    )


@pytest.mark.filterwarnings("always::genrestack_export.Float32Warning")
def test_coarse_feature_is_warned_of_in_one_line(files: Path, small: Case) -> None:
    late = np.array([0, 1.7e9, 0, 0])
    joblib.dump(small.scaler.fit(small.training + late), files / "late.joblib")
    pd.DataFrame(small.rows + late, columns=list(NAMES)).to_csv(files / "late.csv", index=False)
    result = _export(files, "--scaler", files / "late.joblib", rows="late.csv")
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if line.startswith("warning: rows travel as float32")]
    assert ".py:" not in result.output


@pytest.mark.parametrize(
    ("arguments", "expected_message"),
    [
        ([], "name either a run's folder, or --stack with --rows"),
        (["run", "--stack", "mine.joblib", "--rows", "rows.csv"], "name either a run's folder, or --stack with --rows"),
        (["run", "--scaler", "scaler.joblib"], "--scaler and --rows belong to --stack"),
        (["run", "--rows", "rows.csv"], "--scaler and --rows belong to --stack"),
        (["--stack", "mine.joblib"], "--stack needs --rows: a table of raw rows"),
        (["run", "--precision", "half"], "'half' is not one of 'single', 'double'"),
        (["run", "--models", __file__], "is a file"),
        (["run", "--colour"], "--colour"),
    ],
)
def test_misuse(arguments: list[str], expected_message: str) -> None:
    _one_line(_in_process(export, *arguments), expected_message, code=2)


def test_missing_files(files: Path) -> None:
    _one_line(_export(files, stack="gone.joblib"), f"there is no file {files / 'gone.joblib'}; check the path")
    _one_line(_export(files, "--scaler", files / "gone.pkl"), f"there is no file {files / 'gone.pkl'}")
    _one_line(_export(files, rows="gone.csv"), f"{files / 'gone.csv'}")
    _one_line(_export(files, stack="."), "cannot be read: Is a directory")
    _one_line(_in_process(export, files / "gone", "--models", files / "models"), f"{files / 'gone'}")
    assert not (files / "models").exists()


NO_PICKLES = {
    "text": b"not a pickle\n",
    "table": b"a,b,c\n1,2,3\n",
    "empty": b"",
    "zeros": bytes(100),
    "cut gzip": b"\x1f\x8b\x08\x00\x00\x00",
    "cut zlib": b"x\x9c\x00",
    "cut xz": b"\xfd7zXZ\x00\x00",
    "cut bz2": b"BZh9",
    "cut pickle": pickle.dumps({"a": np.zeros(100)})[:60],
    "frame beyond the end": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "stack underflow": b"\x80\x04R.",
    "wrong protocol": b"\x80\xff.",
    "bad string": b"S'a\n.",
    "bad unicode": b"\x80\x04\x8c\x02\xff\xfe.",
    "call of no function": b"\x80\x04K\x01K\x02R.",
    "html": b"<!DOCTYPE html><title>404</title>",
    "utf-16": "stack".encode("utf-16"),
}


@pytest.mark.parametrize("kind", NO_PICKLES)
def test_file_that_is_no_pickle(files: Path, kind: str) -> None:
    (files / "odd.pkl").write_bytes(NO_PICKLES[kind])
    _one_line(_export(files, stack="odd.pkl"), f"{files / 'odd.pkl'} is not a pickle of an estimator; write it with")


def test_every_cut_of_a_pickle_is_one_line(files: Path) -> None:
    for name in ("mine.joblib", "mine.pkl"):
        whole = (files / name).read_bytes()
        for end in range(0, len(whole), len(whole) // 12 + 1):
            (files / "cut.pkl").write_bytes(whole[:end])
            _one_line(_export(files, stack="cut.pkl"), "cut.pkl is not a pickle of an estimator")


def test_pickle_of_a_module_that_is_not_here(files: Path) -> None:
    (files / "far.pkl").write_bytes(b"\x80\x04\x8c\x0cwizardry_lib\x8c\x05Spell\x93.")
    _one_line(
        _export(files, stack="far.pkl"), "far.pkl needs the Python module 'wizardry_lib', which is not installed here"
    )


def test_pickle_of_a_class_that_is_gone(files: Path) -> None:
    (files / "old.pkl").write_bytes(b"\x80\x04\x8c\x0bsklearn.svm\x8c\x06OldSVC\x93.")
    _one_line(_export(files, stack="old.pkl"), "old.pkl was written with other library versions", "OldSVC")


def test_pickle_of_something_else(files: Path) -> None:
    joblib.dump({"stack": 1}, files / "dict.joblib")
    _one_line(_export(files, stack="dict.joblib"), "the stack: dict is not supported", "StackingClassifier")
    _one_line(_export(files, stack="scaler.joblib"), "the model: MinMaxScaler is not supported")
    _one_line(_export(files, "--scaler", files / "mine.joblib"), "the scaler: StackingClassifier is not supported")


def test_rows_of_another_table(files: Path, small: Case) -> None:
    pd.DataFrame(small.rows[:, :3], columns=list(NAMES[:3])).to_csv(files / "narrow.csv", index=False)
    _one_line(_export(files, rows="narrow.csv"), "3 feature names were given, but the stack takes 4 columns")
    (files / "words.csv").write_text("alpha,beta,gamma,delta\n1,2,3,four\n")
    _one_line(_export(files, rows="words.csv"), "delta", "four")
    _one_line(_export(files, rows="mine.pkl"), "mine.pkl")


def test_name_that_is_no_folders(files: Path) -> None:
    _one_line(_export(files, "--name", "../up"), "'../up' cannot name a model: use letters")
    (files / "my stack.joblib").write_bytes((files / "mine.joblib").read_bytes())
    _one_line(_export(files, stack="my stack.joblib"), "'my stack' cannot name a model")


def test_repository_that_cannot_be_written(files: Path) -> None:
    (files / "models").mkdir()
    (files / "models" / "mine").write_text("a file")
    _one_line(
        _export(files, "--scaler", files / "scaler.joblib"), "could not be written below", "choose another folder"
    )


# train


def test_train_then_export_the_run(tmp_path: Path) -> None:
    """The real commands, in processes of their own, network and all."""
    values, labels = draw(90, seed=4)
    frame = pd.DataFrame(values, columns=list(NAMES)).assign(label=labels)
    frame.to_csv(tmp_path / "songs.csv", index=False)
    (tmp_path / "tiny.toml").write_text("[mlp]\nhidden = [4]\n[stack]\nfolds = 2\n")
    done = _as_a_process("train", "songs.csv", "--epochs", 1, "--settings", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    bundle = open_bundle(tmp_path / "models" / "songs" / "1")
    assert sorted(bundle.part_names) == ["knn", "mlp", "svc"]
    assert bundle.model.provenance.row_count == 90
    assert bundle.model.provenance.preset == "notebook"
    assert bundle.model.features[0].HasField("seen_min")
    assert 0 < bundle.model.metrics["accuracy"] <= 1
    page = (bundle.path / "report.html").read_text(encoding="utf-8")
    assert f"{bundle.model.parity.labels_agreed} of {bundle.model.parity.rows} labels agree" in page
    assert json.loads((bundle.path / "metrics.json").read_text())
    (run,) = (tmp_path / "runs" / "songs").iterdir()
    assert f"run: {run.relative_to(tmp_path)}" in done.stdout
    assert (run / "report.html").read_text(encoding="utf-8") == page
    assert json.loads((run / "export.json").read_text())["model"] == "songs"
    assert "bundle: models/songs/1" in done.stdout
    assert "next: genrestack serve models" in done.stdout

    again = _in_process(export, run, "--models", tmp_path / "models", "--precision", "double", "--name", "second")
    assert again.exit_code == 0, again.output
    assert list_versions(tmp_path / "models" / "second") == [1]
    assert open_bundle(tmp_path / "models" / "second" / "1").model.metrics == bundle.model.metrics


def test_train_by_artist_in_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups from a file; the figures of folds and of the other splits are in the manifest and on the screen."""
    values, labels = draw(90, seed=4)
    names = [f"song.{row // 3:03d}.{row % 3}.wav" for row in range(90)]
    labels = np.repeat(labels[:30], 3)
    frame = pd.DataFrame(values, columns=list(NAMES)).assign(label=labels, filename=names)
    frame.to_csv(tmp_path / "songs.csv", index=False)
    lines = [f"song.{song:03d}.wav\t{song % 15}" for song in range(30)]
    (tmp_path / "artists.tsv").write_text("\n".join(["filename\tartist", *lines]))
    (tmp_path / "light.toml").write_text('[stack]\nfolds = 2\nestimators = ["knn", "svc"]\n')
    monkeypatch.chdir(tmp_path)
    done = _in_process(
        train, "songs.csv", "--settings", "light.toml", "--split", "artist", "--groups", "artists.tsv", "--folds", "3",
        "--compare", "random", "--compare", "track",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    metrics = open_bundle(tmp_path / "models" / "songs" / "1").model.metrics
    assert {"accuracy", "accuracy.lower", "accuracy.song", "accuracy.artist_folds"} <= set(metrics)
    assert {"accuracy.random_split", "accuracy.track_split", "accuracy.track_split.upper"} <= set(metrics)
    assert "in 3 folds by artist" in done.output
    assert "5 of 5" in done.output


@pytest.mark.parametrize(
    ("arguments", "expected_message", "code"),
    [
        ([], "Missing argument 'TABLE...'", 2),
        (["gone.csv"], "gone.csv", 1),
        (["songs.csv", "--label", "genre"], "genre", 1),
        (["songs.csv", "--preset", "wizardry"], "'wizardry' is not one of 'notebook'", 2),
        (["songs.csv", "--split", "wizardry"], "'wizardry' is not one of 'random'", 2),
        (["songs.csv", "--groups", "gone.csv"], "gone.csv", 1),
        (["songs.csv", "--split", "artist"], "--groups", 1),
        (["songs.csv", "--track-column", "album"], "no column 'album'", 1),
        (["songs.csv", "--folds", "1"], "1 is not in the range", 2),
        (["songs.csv", "--compare", "auto", "--compare", "track"], "stand alone", 2),
        (["songs.csv", "--settings", "gone.toml"], "gone.toml", 1),
        (["songs.csv", "--settings", "songs.csv"], "songs.csv", 1),
        (["songs.csv", "--epochs", "0"], "0 is not in the range", 2),
        (["songs.csv", "--seed", "-1"], "-1 is not in the range", 2),
        (["songs.csv", "--name", "../up"], "../up", 1),
    ],
)
def test_train_misuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected_message: str, code: int
) -> None:
    values, labels = draw(30, seed=4)
    pd.DataFrame(values, columns=list(NAMES)).assign(label=labels).to_csv(tmp_path / "songs.csv", index=False)
    monkeypatch.chdir(tmp_path)
    _one_line(_in_process(train, *arguments), expected_message, code=code)
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "runs").exists()


def test_two_wheels_are_found_before_anything_is_fitted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "onnxruntime_gpu-1.31.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = CliRunner().invoke(train, ["there-is-no-such-table.csv"])
    assert done.exit_code == 1
    assert "are both installed" in done.output
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in done.output
