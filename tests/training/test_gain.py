"""Trainings that divide recordings' gain out, and those that cannot."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support.samples.songs import KINDS, recording, rows_of_kinds
from training.conftest import LIGHT, Remembered

from genrestack_audio import FEATURE_NAMES, RATE, extract_windows
from genrestack_bundle import ComposedSession, open_bundle
from genrestack_training import PRESETS, Run, SettingsError, Table, load_run, load_table, resolve_settings, train
from genrestack_training.cli.train import train as command
from genrestack_training.run_export import export_run

QUICK = {**LIGHT, "knn": {"n_neighbors": 2}}


@pytest.fixture(scope="module")
def songs_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of made recordings, shaken a little."""
    windows, labels = rows_of_kinds()
    rng = np.random.default_rng(1)
    rows = np.repeat(windows, 4, axis=0)
    rows *= 1 + rng.normal(scale=0.02, size=rows.shape)
    frame = pd.DataFrame(rows, columns=FEATURE_NAMES).assign(label=np.repeat(labels, 4))
    path = tmp_path_factory.mktemp("songs") / "songs.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def songs(songs_csv: Path) -> Table:
    return load_table(songs_csv)


@pytest.fixture(scope="module")
def steady(songs: Table, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that divides the gain out."""
    folder = tmp_path_factory.mktemp("runs") / "steady"
    return train(songs, overrides=QUICK, normalize_gain="auto", run_dir=folder, name="steady")


def at(decibels: float) -> Any:
    sounds = [recording(kind, 6, seed=7) * np.float32(10 ** (decibels / 20)) for kind in KINDS]
    return np.concatenate([extract_windows(sound, RATE) for sound in sounds])


def answers(run: Any, rows: Any) -> Any:
    return run.stack.predict_proba(run.scaler.transform(rows))


def steps_of(run: Any) -> list[str]:
    return [name for name, _ in run.scaler.steps]


def test_a_song_turned_up_or_down_gets_the_same_answer(
    steady: Run, songs: Table, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = open_bundle(export_run(steady, tmp_path_factory.mktemp("models")))
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu")
    loud = train(songs, overrides=QUICK, runs_dir=None)
    usual = at(0)
    expected = session.run(usual.astype(np.float32)).probabilities
    for decibels in (-20, 6):
        turned = at(decibels)
        answered = session.run(turned.astype(np.float32)).probabilities
        np.testing.assert_allclose(answered, expected, atol=1e-3)
        assert np.abs(answers(loud, turned) - answers(loud, usual)).max() > 3e-3


def test_the_step_stands_in_front_and_in_the_record(steady: Run) -> None:
    assert steps_of(steady) == ["gain", "scaler"]
    assert steady.settings.scaler.normalize_gain == "on"
    assert not any("gain" in line for line in steady.provenance.warnings)
    assert steady.path is not None
    rows = steady.reference_rows
    np.testing.assert_array_equal(answers(load_run(steady.path), rows), answers(steady, rows))


def test_a_run_from_before_the_setting_is_read(steady: Run, tmp_path: Path) -> None:
    assert steady.path is not None
    old = Path(shutil.copytree(steady.path, tmp_path / "old"))
    record = json.loads((old / "metrics.json").read_text(encoding="utf-8"))
    del record["settings"]["scaler"]["normalize_gain"]
    (old / "metrics.json").write_text(json.dumps(record), encoding="utf-8")
    assert load_run(old).settings.scaler.normalize_gain == "off"


def test_feature_ranges_are_those_behind_the_step(steady: Run) -> None:
    ranges = {feature.name: feature for feature in steady.insight.features}
    assert ranges["rms_mean"].fitted_min == ranges["rms_mean"].fitted_max == 1
    raw = steady.training_rows[:, FEATURE_NAMES.index("tempo")]
    assert (ranges["tempo"].fitted_min, ranges["tempo"].fitted_max) == (raw.min(), raw.max())


def test_gaps_are_filled_with_medians_of_one_loudness(songs: Table) -> None:
    features = songs.features.copy()
    features[::7, FEATURE_NAMES.index("rms_mean")] = np.nan
    features[::5, FEATURE_NAMES.index("tempo")] = np.nan
    table = load_table(songs.path)
    object.__setattr__(table, "features", features)
    run = train(table, overrides=QUICK, normalize_gain="on", missing="median", runs_dir=None)
    assert steps_of(run) == ["gain", "imputer", "scaler"]
    row = run.reference_rows[:1].copy()
    row[:, FEATURE_NAMES.index("rms_mean")] = np.nan
    turned = row.copy()
    turned[:, FEATURE_NAMES.index("harmony_var")] *= 100
    np.testing.assert_array_equal(answers(run, row), answers(run, turned))


def test_best_divides_and_notebook_does_not() -> None:
    assert PRESETS["best"].scaler.normalize_gain == "auto"
    assert PRESETS["notebook"].scaler.normalize_gain == PRESETS["demo"].scaler.normalize_gain == "off"
    assert resolve_settings("best", normalize_gain="off").scaler.normalize_gain == "off"


def test_a_table_without_the_columns_is_trained_with_a_note(small_table: Table) -> None:
    heard = Remembered()
    settings: Any = {"scaler": {"normalize_gain": "auto"}, **LIGHT}
    run = train(small_table, overrides=settings, runs_dir=None, progress=heard)
    (note,) = (line for line in heard.notes if "gain" in line)
    assert note.startswith("The gain of recordings is not divided out: the table has no column 'rms_mean', ")
    assert note in run.provenance.warnings
    assert run.settings.scaler.normalize_gain == "off"
    with pytest.raises(SettingsError, match=r"normalize_gain is on, and the table has no column 'rms_mean', .*or set"):
        train(small_table, overrides=LIGHT, normalize_gain="on", runs_dir=None)


def test_a_table_of_songs_that_lacks_one_is_told_what_it_means(songs: Table, songs_csv: Path) -> None:
    heard = Remembered()
    table = load_table(songs_csv, drop=("harmony_var",))
    settings: Any = {"scaler": {"normalize_gain": "auto"}, **QUICK}
    train(table, overrides=settings, runs_dir=None, progress=heard)
    (note,) = (line for line in heard.notes if "gain" in line)
    assert note.endswith("the table has no column 'harmony_var'; a song turned up or down may get another answer.")


def test_the_command_takes_it(songs_csv: Path, small_csv: Path, tmp_path: Path) -> None:
    settings = tmp_path / "light.toml"
    settings.write_text('[stack]\nestimators = ["knn"]\nfolds = 2\n', encoding="utf-8")
    common = ["--settings", str(settings), "--models", str(tmp_path / "models"), "--normalize-gain", "on"]
    done = CliRunner().invoke(command, [str(songs_csv), "--run", str(tmp_path / "run"), *common])
    assert done.exit_code == 0, done.output
    assert load_run(tmp_path / "run").settings.scaler.normalize_gain == "on"
    refused = CliRunner().invoke(command, [str(small_csv), "--run", str(tmp_path / "other"), *common])
    assert refused.exit_code == 1
    assert "normalize_gain is on, and the table has no column" in refused.output
