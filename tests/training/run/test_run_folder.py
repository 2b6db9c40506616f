"""A run on disk: whole or not at all, read back as it was, and broken ones named."""

import dataclasses
import json
import resource
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
from training.conftest import LIGHT

from genrestack_training import Run, RunError, RunWarning, Table, load_predictions, load_run, save_run, train
from genrestack_training.report.console import report_text
from genrestack_training.run.storage import FILES, run_name


@pytest.fixture(scope="module")
def light_run(small_table: Table) -> Run:
    return train(small_table, overrides=LIGHT, runs_dir=None)


@pytest.fixture
def folder(light_run: Run, tmp_path: Path) -> Path:
    return save_run(light_run, tmp_path / "run")


def test_a_run_is_read_back_as_it_was(tiny_run: Run) -> None:
    assert tiny_run.path is not None
    assert sorted(p.name for p in tiny_run.path.iterdir()) == sorted(FILES)
    read = load_run(tiny_run.path)
    for field in dataclasses.fields(Run):
        before, after = getattr(tiny_run, field.name), getattr(read, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
            assert after.dtype == before.dtype
        elif field.name not in {"stack", "scaler", "predictions"}:
            assert after == before, field.name
    rows = tiny_run.reference_rows
    answers, again = tiny_run.stack.predict_proba(tiny_run.scaled(rows)), read.stack.predict_proba(read.scaled(rows))
    np.testing.assert_array_equal(again, answers)


def test_where_a_run_is_written(small_table: Table, tmp_path: Path) -> None:
    first = train(small_table, overrides=LIGHT, runs_dir=tmp_path)
    second = train(small_table, overrides=LIGHT, runs_dir=tmp_path)
    assert first.path is not None
    assert second.path is not None
    assert first.path.parent == second.path.parent == tmp_path / "small"
    assert sorted(p.name for p in first.path.parent.iterdir()) == [first.path.name, second.path.name]
    assert load_run(tmp_path / "small").path == second.path
    named = train(small_table, overrides=LIGHT, name="other", run_dir=tmp_path / "mine")
    assert named.path == tmp_path / "mine"
    assert load_run(tmp_path / "mine").name == "other"


def test_a_run_without_figures_or_scaler(small_table: Table, tmp_path: Path) -> None:
    run = train(small_table, overrides={**LIGHT, "scaler": {"kind": "none"}}, split="none", run_dir=tmp_path / "run")
    read = load_run(tmp_path / "run")
    assert read.evaluation is None
    assert read.scaler is None
    assert read.reference_labels is None
    np.testing.assert_array_equal(read.reference_rows, run.reference_rows)


def test_the_arrays_need_no_pickle(folder: Path, light_run: Run) -> None:
    with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
        known = {"rows", "labels", "training_rows", "training_labels", "training_groups", "group_unit"}
        assert set(arrays.files) == known
        np.testing.assert_array_equal(arrays["rows"], light_run.reference_rows)


def test_what_rows_belong_together_is_read_back(folder: Path, light_run: Run) -> None:
    read = load_run(folder)
    assert read.group_unit == light_run.group_unit
    np.testing.assert_array_equal(read.training_groups, light_run.training_groups)


def test_metrics_are_plain_json(folder: Path, light_run: Run) -> None:
    facts = json.loads((folder / "metrics.json").read_text())
    assert facts["metrics"] == light_run.metrics
    assert facts["provenance"]["data_sha256"] == light_run.provenance.data_sha256
    assert facts["settings"]["knn"] == {"n_neighbors": 2, "weights": "distance", "p": 1}
    assert set(facts["provenance"]["library_versions"]) == {"numpy", "scikit-learn", "scipy"}


def test_a_folder_that_is_there_is_refused_before_the_fit(small_table: Table, light_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is there already"):
        train(small_table, run_dir=tmp_path)
    with pytest.raises(RunError, match="is there already"):
        save_run(light_run, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write into .*; choose another folder with --run"):
        train(small_table, run_dir=tmp_path / "file" / "run")


@pytest.mark.parametrize("limit", [200, 4000])
def test_a_full_disk_leaves_nothing_behind(light_run: Run, tmp_path: Path, limit: int) -> None:
    """Let writing fail for real: no file may grow beyond the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(RunError, match=r"could not write the run to .*; free some space on that disk"):
            save_run(light_run, tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [n for n in FILES if n != "report.html"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RunError, match=f"is not a whole run: it has no {name}"):
        load_run(folder)


@pytest.mark.parametrize("name", [n for n in FILES if n not in {"report.html", "answers.npz"}])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"\x80\x05K\x01.", b"PK\x03\x04 cut short"])
def test_a_broken_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        load_run(folder)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}", b"PK\x03\x04 cut short"])
def test_broken_answers_are_named_and_leave_the_run_readable(folder: Path, content: bytes) -> None:
    (folder / "answers.npz").write_bytes(content)
    with pytest.raises(RunError, match=r"answers\.npz"):
        load_predictions(folder)
    assert load_run(folder).name == "small"


def test_facts_that_do_not_fit_are_refused(folder: Path) -> None:
    facts = json.loads((folder / "metrics.json").read_text())
    unknown_setting = {**facts, "settings": {"knn": {"k": 1}}}
    without_classes = {name: fact for name, fact in facts.items() if name != "classes"}
    for changed in (unknown_setting, without_classes, {**facts, "format": 99}):
        (folder / "metrics.json").write_text(json.dumps(changed))
        with pytest.raises(RunError, match=r"metrics\.json"):
            load_run(folder)


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        load_run(tmp_path / "absent")
    with pytest.raises(RunError, match="is not a whole run"):
        load_run(tmp_path)


def test_another_scikit_learn_is_warned_of(folder: Path, light_run: Run) -> None:
    knn = light_run.stack.estimators_[0]
    state = knn.__getstate__()
    file = folder / "scaler.joblib"
    joblib.dump(light_run.scaler, file)
    version = state["_sklearn_version"].encode()
    file.write_bytes(file.read_bytes().replace(version, b"0.1.2"[: len(version)].ljust(len(version), b"0")))
    with pytest.warns(RunWarning, match=r"scaler.joblib was written with scikit-learn 0\.1\.2"):
        load_run(folder)


def test_figures_as_text(tiny_run: Run) -> None:
    text = report_text(tiny_run, width=90)
    assert tiny_run.evaluation is not None
    assert f"{tiny_run.evaluation.accuracy:.3f}" in text
    for label in (*tiny_run.classes, "knn alone", "svc alone", "mlp alone", "precision", "recall", "F1"):
        assert label in text
    assert "stand on both sides" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 90


def test_a_run_is_named_after_its_table() -> None:
    assert run_name(Path("data/features_3_sec.csv.gz")) == "features_3_sec"
    assert run_name(Path("my table (2).csv")) == "my-table-2"
    assert run_name(Path("音楽.csv")) == "model"


def test_a_copied_run_is_read_from_where_it_is(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert load_run(moved).path == moved
