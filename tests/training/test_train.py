"""The training as a whole: the same answers as a plain script, repeatable, and honest about what it measured."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from training.conftest import LIGHT, TINY, Remembered, small_frame

from genrestack_training import (
    Run,
    RunError,
    SettingsError,
    Table,
    TableError,
    build_stack,
    load_table,
    resolve_settings,
    train,
)
from genrestack_training.data.synthetic_rows import synthetic_rows
from genrestack_training.models.calibration import resolve_calibration


def probabilities(run: Run, rows: np.ndarray) -> np.ndarray:
    answers: np.ndarray = run.stack.predict_proba(run.scaled(rows))
    return answers


@pytest.fixture(scope="module")
def light_run(small_table: Table) -> Run:
    return train(small_table, overrides=LIGHT, runs_dir=None)


def test_train_agrees_with_a_plain_script(tiny_run: Run, small_csv: Path) -> None:
    """Train the same stack as a notebook would, with scikit-learn and scikeras alone."""
    import keras
    from scikeras.wrappers import KerasClassifier

    def network(meta: dict[str, int]) -> keras.Sequential:
        return keras.Sequential(
            [
                keras.layers.Input((meta["n_features_in_"],)),
                keras.layers.Dense(8, activation="relu"),
                keras.layers.Dense(meta["n_classes_"], activation="softmax"),
            ]
        )

    frame = pd.read_csv(small_csv)
    codes = frame["label"].astype("category").cat.codes
    features = frame.drop(columns="label").to_numpy()
    X, X_test, y, y_test = train_test_split(features, codes, test_size=0.2, stratify=codes, random_state=42)
    scaler = MinMaxScaler().fit(X)
    mlp = KerasClassifier(
        network,
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.Adam,
        optimizer__learning_rate=0.01,
        epochs=3,
        batch_size=64,
        verbose=0,
        random_state=42,
    )
    stack = StackingClassifier(
        [
            ("knn", KNeighborsClassifier(n_neighbors=2, weights="distance", p=1)),
            ("svc", SVC(C=200, probability=True, random_state=42)),
            ("mlp", mlp),
        ],
        final_estimator=LogisticRegression(),
        cv=2,
        passthrough=True,
    )
    stack.fit(scaler.transform(X), y)
    from tensorflow.python.framework import config

    config.disable_op_determinism()  # which the plain wrapper leaves on

    np.testing.assert_array_equal(tiny_run.reference_rows, X_test)
    np.testing.assert_allclose(
        probabilities(tiny_run, X_test), stack.predict_proba(scaler.transform(X_test)), rtol=0, atol=1e-12
    )
    expected = classification_report(y_test, stack.predict(scaler.transform(X_test)), output_dict=True, zero_division=0)
    assert tiny_run.evaluation is not None
    assert tiny_run.evaluation.accuracy == pytest.approx(expected["accuracy"])
    for code, report in enumerate(tiny_run.evaluation.classes):
        assert (report.precision.value, report.recall.value, report.f1.value, report.support) == pytest.approx(
            tuple(expected[str(code)][k] for k in ("precision", "recall", "f1-score", "support"))
        )
    for (name, _), estimator in zip(stack.estimators, stack.estimators_, strict=True):
        own = float(np.mean(estimator.predict(scaler.transform(X_test)) == y_test))
        assert tiny_run.evaluation.base_accuracy[name] == pytest.approx(own)


def test_one_row_is_answered(tiny_run: Run) -> None:
    rows = tiny_run.reference_rows
    one_by_one = np.concatenate([probabilities(tiny_run, rows[i : i + 1]) for i in range(3)])
    assert one_by_one.shape == (3, 3)
    np.testing.assert_allclose(one_by_one, probabilities(tiny_run, rows[:3]), atol=1e-6)
    assert tiny_run.stack.named_estimators_["mlp"].predict_proba(rows[:1]).shape == (1, 3)


def test_the_same_seed_gives_the_same_answers(tiny_run: Run, small_table: Table) -> None:
    again = train(small_table, overrides=TINY, runs_dir=None)
    np.testing.assert_array_equal(again.reference_rows, tiny_run.reference_rows)
    np.testing.assert_array_equal(
        probabilities(again, again.reference_rows), probabilities(tiny_run, tiny_run.reference_rows)
    )
    assert again.evaluation is not None
    assert tiny_run.evaluation is not None
    assert replace(again.evaluation, seconds=0.0) == replace(tiny_run.evaluation, seconds=0.0)


def test_another_seed_gives_other_rows(light_run: Run, small_table: Table) -> None:
    other = train(small_table, overrides=LIGHT, runs_dir=None, seed=43)
    assert not np.array_equal(other.reference_rows, light_run.reference_rows)
    assert other.provenance.seed == 43


def test_a_seeded_training_leaves_unseeded_fits_possible(tiny_run: Run) -> None:
    from tensorflow.python.framework import config

    assert not config.is_op_determinism_enabled()
    assert "TF_DETERMINISTIC_OPS" not in os.environ
    two_classes = tiny_run.training_labels != "jazz"
    rows = tiny_run.scaled(tiny_run.training_rows[two_classes])
    unseeded = build_stack(overrides={**TINY, "stack": {"folds": 2, "estimators": ["mlp"]}})
    unseeded.fit(rows, tiny_run.training_labels[two_classes])
    assert unseeded.predict_proba(rows[:1]).shape == (1, 2)
    assert unseeded.named_estimators_["mlp"].predict_proba(rows[:1]).shape == (1, 2)


def test_labels_stay_strings(tiny_run: Run) -> None:
    assert tiny_run.classes == ("blues", "jazz", "röck & roll")
    assert tiny_run.stack.predict(tiny_run.reference_rows[:1])[0] in tiny_run.classes
    assert tiny_run.evaluation is not None
    assert [c.label for c in tiny_run.evaluation.classes] == list(tiny_run.classes)


def test_the_figures_are_of_the_rows_held_back(tiny_run: Run) -> None:
    assert tiny_run.evaluation is not None
    assert tiny_run.reference_labels is not None
    evaluation, labels = tiny_run.evaluation, tiny_run.reference_labels
    assert (len(tiny_run.training_rows), len(labels), evaluation.rows) == (72, 18, 18)
    answers = tiny_run.stack.predict(tiny_run.scaled(tiny_run.reference_rows))
    for i, true in enumerate(tiny_run.classes):
        for j, answer in enumerate(tiny_run.classes):
            assert evaluation.confusion[i][j] == np.sum((labels == true) & (answers == answer))
    assert set(tiny_run.metrics) == {
        *("accuracy", "accuracy.lower", "accuracy.upper", "accuracy.balanced", "accuracy.top2"),
        *("accuracy.knn", "accuracy.svc", "accuracy.mlp", "f1.macro", "log_loss", "brier", "ece"),
    }
    fitted = {row.tobytes() for row in tiny_run.training_rows}
    assert not any(row.tobytes() in fitted for row in tiny_run.reference_rows)


@pytest.mark.parametrize("fit_on", ["training", "all"])
def test_where_the_scaler_is_fitted(small_table: Table, fit_on: str) -> None:
    scaler = {"kind": "standard", "fit_on": fit_on}
    run = train(small_table, overrides={**LIGHT, "scaler": scaler}, runs_dir=None)
    assert run.scaler is not None
    expected = run.training_rows if fit_on == "training" else small_table.features
    np.testing.assert_allclose(run.scaler.mean_, expected.mean(axis=0))


@pytest.mark.parametrize(
    ("kind", "expected"), [("standard", "StandardScaler"), ("quantile", "QuantileTransformer"), ("none", "NoneType")]
)
def test_other_scalers(small_table: Table, kind: str, expected: str) -> None:
    settings: dict[str, dict[str, Any]] = {"scaler": {"kind": kind}, "stack": {"estimators": ["knn"], "folds": 2}}
    run = train(small_table, overrides=settings, runs_dir=None)
    assert type(run.scaler).__name__ == expected
    assert run.evaluation is not None
    assert run.evaluation.accuracy > 0.5


@pytest.mark.parametrize("by", ["rows", "tracks"])
def test_too_few_rows_to_calibrate(by: str, tmp_path: Path) -> None:
    frame = small_frame(60)
    frame["filename"] = [f"song.{i:05d}.{w}.wav" for i in range(30) for w in range(2)]
    frame.to_csv(tmp_path / "table.csv", index=False)
    overrides = {**LIGHT, "svc": {"calibration": "sigmoid", "calibration_folds": 12}}
    overrides["stack"] = {**overrides["stack"], "folds_by": by}
    with pytest.raises(SettingsError, match=r"\[svc\] calibration_folds is 12, and a fold leaves fewer rows .*'jazz'"):
        train(load_table(tmp_path / "table.csv"), overrides=overrides, runs_dir=None)


def test_without_a_split_there_are_no_figures(small_table: Table) -> None:
    run = train(small_table, overrides=LIGHT, split="none", runs_dir=None)
    assert run.evaluation is None
    assert run.metrics == {}
    assert "no metrics" in run.provenance.split_meaning
    assert len(run.training_rows) == run.provenance.fitted_rows == run.provenance.row_count == 90
    assert run.reference_made
    assert run.reference_labels is None
    fitted = {row.tobytes() for row in run.training_rows}
    assert not any(row.tobytes() in fitted for row in run.reference_rows)
    np.testing.assert_array_equal(
        run.reference_rows, train(small_table, overrides=LIGHT, split="none", runs_dir=None).reference_rows
    )


def test_made_rows_lie_within_what_was_seen() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 1e6, 0.0]
    made = synthetic_rows(rows, seed=1)
    assert made.shape == (40, 3)
    assert (made >= rows.min(axis=0)).all()
    assert (made <= rows.max(axis=0)).all()
    assert synthetic_rows(rows, seed=1, most=7).shape == (7, 3)


def test_a_meta_learner_that_stops_early_is_one_plain_line(small_table: Table) -> None:
    listener = Remembered()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = train(small_table, overrides={**LIGHT, "meta": {"max_iter": 2}}, runs_dir=None, progress=listener)
    assert len(listener.notes) == 1
    assert "stopped at its limit of 2 iterations" in listener.notes[0]
    assert run.provenance.warnings == tuple(listener.notes)


def with_labels(table: Table, labels: list[str], tmp_path: Path) -> Table:
    frame = small_frame(len(labels)).assign(label=labels)
    path = tmp_path / "other.csv"
    frame.to_csv(path, index=False)
    return load_table(path)


def test_tables_that_cannot_be_trained_on(small_table: Table, tmp_path: Path) -> None:
    with pytest.raises(
        TableError, match=r"other.csv: every row has the label 'a'; a classifier needs at least two classes"
    ):
        train(with_labels(small_table, ["a"] * 20, tmp_path), runs_dir=None)
    with pytest.raises(
        TableError, match=r"other.csv: 5 folds need at least 5 rows of each class, and fewer are there of: 'b' \(4\)"
    ):
        train(with_labels(small_table, ["a"] * 20 + ["b"] * 4, tmp_path), runs_dir=None)
    with pytest.raises(TableError, match=r"left to fit after the split of: 'b' \(4\)"):
        train(with_labels(small_table, ["a"] * 20 + ["b"] * 5, tmp_path), runs_dir=None)
    with pytest.raises(TableError, match="fewer rows than there are classes"):
        train(with_labels(small_table, list("abcd") * 2, tmp_path), overrides=LIGHT, runs_dir=None)
    unlabelled = tmp_path / "unlabelled.csv"
    small_frame().drop(columns="label").to_csv(unlabelled, index=False)
    with pytest.raises(TableError, match="has no labels"):
        train(load_table(unlabelled, need_label=False), runs_dir=None)


def test_options_that_do_not_exist(small_table: Table, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="no split 'artists'; choose one of random, track, artist, collection, none"
    ):
        train(small_table, split="artists", runs_dir=None)
    with pytest.raises(SettingsError, match="the seed is -1"):
        train(small_table, seed=-1, runs_dir=None)
    with pytest.raises(SettingsError, match=r"n_neighbors is 60, and a fold is fitted on 36 rows"):
        train(small_table, overrides={**LIGHT, "knn": {"n_neighbors": 60}}, runs_dir=None)
    with pytest.raises(RunError, match="cannot name a run"):
        train(small_table, name="../up", runs_dir=tmp_path)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, genrestack_training\n"
        "from genrestack_training import PRESETS, SPLIT_NAMES, Settings, TrainingError, resolve_settings\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'tensorflow'} & set(sys.modules)\n"
        "from genrestack_training import build_stack, load_table, train\n"
        "late = {'tensorflow', 'keras'} & set(sys.modules)\n"
        "build_stack(overrides={'stack': {'estimators': ['knn', 'svc']}})\n"
        "assert not heavy and not late and 'tensorflow' not in sys.modules, (heavy, late)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tensorflow_is_imported_without_chatter() -> None:
    code = "from genrestack_training import build_stack; build_stack()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_public_names_are_there() -> None:
    import genrestack_training

    for name in genrestack_training.__all__:
        assert getattr(genrestack_training, name) is not None
    assert set(genrestack_training._HOME) == set(genrestack_training.__all__)
    assert tuple(genrestack_training.SPLITS) == genrestack_training.SPLIT_NAMES
    with pytest.raises(AttributeError, match="nonsense"):
        _ = genrestack_training.nonsense


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_published_table_gives_the_notebooks_accuracy(shared_data: Path) -> None:
    run = train(load_table(shared_data / "features_3_sec.csv.gz"), compare=[], runs_dir=None)
    assert resolve_calibration(resolve_settings())[0] == run.settings
    assert run.metrics["accuracy"] == pytest.approx(0.966, abs=0.01)
