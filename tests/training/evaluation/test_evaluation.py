"""What a training says of itself: each model's worth, other splits beside its own, folds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from training.conftest import LIGHT, Remembered, windows_frame

from genrestack_training import (
    Run,
    SettingsError,
    Table,
    TableError,
    load_predictions,
    load_table,
    train,
)
from genrestack_training.report.console import report_text

Make = Callable[..., Table]


@pytest.mark.parametrize("passthrough", [True, False])
@pytest.mark.parametrize("kinds", [2, 3])
def test_the_worth_of_a_model_is_that_of_a_stack_without_it(
    tmp_path: Path, passthrough: bool, kinds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fitted as a whole by scikit-learn, on the same folds."""
    frame = windows_frame()
    frame = frame[frame.label.isin(["blues", "jazz", "rock"][:kinds])].drop(columns="artist")
    frame.to_csv(tmp_path / "w.csv", index=False)
    overrides = {"stack": {**LIGHT["stack"], "passthrough": passthrough, "folds": 3}, "meta": {"max_iter": 1000}}
    run = train(load_table(tmp_path / "w.csv"), overrides=overrides, split="track", run_dir=tmp_path / "run")
    assert run.evaluation is not None
    found = load_predictions(tmp_path / "run")["evaluation"]
    for name in ("knn", "svc"):
        (other,) = [(n, e) for n, e in run.stack.estimators if n != name]
        reduced = StackingClassifier(
            [other], LogisticRegression(max_iter=1000), cv=run.stack.cv, passthrough=passthrough
        )
        reduced.fit(run.scaled(run.training_rows), run.training_labels)
        expected = reduced.predict_proba(run.scaled(run.reference_rows))
        np.testing.assert_allclose(run.predictions["evaluation"].without[name], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.without[name], expected, rtol=0, atol=1e-7)
        accuracy = reduced.score(run.scaled(run.reference_rows), run.reference_labels)
        worth = run.evaluation.worth[name]
        assert worth.accuracy_without.value == pytest.approx(accuracy)
        assert worth.accuracy_gain.value == pytest.approx(run.evaluation.accuracy - accuracy)


def test_the_answers_are_the_fitted_stacks(compared: Run) -> None:
    rows = compared.scaled(compared.reference_rows)
    kept = compared.predictions["evaluation"]
    np.testing.assert_allclose(kept.probabilities["stack"], compared.stack.predict_proba(rows), rtol=0, atol=1e-15)
    for name, estimator in compared.stack.named_estimators_.items():
        np.testing.assert_allclose(kept.probabilities[name], estimator.predict_proba(rows), rtol=0, atol=1e-15)
        np.testing.assert_array_equal(kept.decisions[name], estimator.predict(rows))
    assert [kept.classes[i] for i in kept.truth] == list(
        compared.reference_labels if compared.reference_labels is not None else ()
    )


def test_a_random_split_is_seen_beside_the_grouped_ones(windows: Table) -> None:
    listener = Remembered()
    run = train(windows, overrides=LIGHT, runs_dir=None, progress=listener)
    assert [e.split for e in run.comparisons] == ["track", "artist"]
    for other in run.comparisons:
        alone = train(windows, overrides=LIGHT, split=other.split, runs_dir=None)
        assert alone.comparisons == ()
        assert alone.evaluation is not None
        assert alone.metrics["accuracy"] == run.metrics[f"accuracy.{other.split}_split"] == other.accuracy
        assert alone.evaluation.models == other.models
    assert f"{run.comparisons[1].accuracy:.3f} by artist: a random split leaves other windows" in run.contrast
    fractions = [s.fraction for s in listener.steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {s.stage for s in listener.steps} == {
        "1 of 3, the exported model",
        "2 of 3, split by recording",
        "3 of 3, split by artist",
    }
    skipped = train(windows, overrides=LIGHT, compare=[], runs_dir=None)
    assert skipped.comparisons == ()
    assert skipped.contrast == ""
    assert {k: v for k, v in run.metrics.items() if "split" not in k} == skipped.metrics


def test_single_recordings_have_nothing_to_compare(small_table: Table) -> None:
    run = train(small_table, overrides=LIGHT, runs_dir=None)
    assert run.comparisons == ()
    assert run.evaluation is not None
    assert (run.evaluation.interval_unit, run.evaluation.groups, run.evaluation.songs) == ("row", 18, None)


def test_a_comparison_that_cannot_be_drawn_is_a_note(tmp_path: Path) -> None:
    frame = windows_frame(tracks=6, windows=12).drop(columns="artist")
    frame.to_csv(tmp_path / "few.csv", index=False)
    table = load_table(tmp_path / "few.csv")
    run = train(table, overrides={"stack": {**LIGHT["stack"], "folds": 6}}, runs_dir=None)
    assert run.comparisons == ()
    assert any("There are no metrics by recording to compare with" in line for line in run.provenance.warnings)
    with pytest.raises(TableError, match="folds need at least 6 recordings"):
        train(table, overrides={"stack": {**LIGHT["stack"], "folds": 6}}, compare=["track"], runs_dir=None)


def test_cross_validation_answers_every_row_once(compared: Run, windows: Table) -> None:
    """Over artists, because they are known; and the exported model stays the random split's."""
    folded = compared.cross_validation
    assert folded is not None
    assert (folded.split, folded.folds, folded.rows) == ("artist", 3, 108)
    assert sorted(compared.predictions["folds"].rows.tolist()) == list(range(108))
    assert len(folded.fold_accuracy) == 3
    assert compared.provenance.split == "random"
    assert compared.metrics["accuracy.artist_folds"] == folded.accuracy
    assert sum(c.support for c in folded.classes) == 108


@pytest.mark.parametrize(("split", "fits"), [("track", 3), ("artist", 3), ("none", 4)])
def test_a_grouped_split_is_the_first_of_the_folds(windows: Table, split: str, fits: int) -> None:
    listener = Remembered()
    run = train(windows, overrides=LIGHT, split=split, folds=3, runs_dir=None, progress=listener)
    assert len({s.stage for s in listener.steps}) == fits
    assert run.cross_validation is not None
    assert run.cross_validation.split == ("artist" if split == "none" else split)
    if split == "none":
        assert run.evaluation is None
        assert set(run.metrics) == {f"accuracy.artist_folds{end}" for end in ("", ".lower", ".upper", ".song")}
        return
    assert run.evaluation is not None
    assert run.evaluation.accuracy == run.cross_validation.fold_accuracy[0]
    held_back = run.predictions["evaluation"].rows
    np.testing.assert_array_equal(run.predictions["folds"].rows[: len(held_back)], held_back)


def test_folds_and_comparisons_that_cannot_be(windows: Table) -> None:
    with pytest.raises(SettingsError, match="over 1 folds holds nothing back; choose 2 or more"):
        train(windows, folds=1, runs_dir=None)
    with pytest.raises(SettingsError, match="no split 'album' to compare with; choose from random, track, artist"):
        train(windows, compare=["album"], runs_dir=None)
    with pytest.raises(TableError, match="13 folds need at least 13 artists, and there are 12"):
        train(windows, folds=13, runs_dir=None)


def test_the_tables_fit_a_terminal(compared: Run) -> None:
    text = report_text(compared, width=80)
    assert max(map(len, text.splitlines())) <= 80
    evaluation, folded = compared.evaluation, compared.cross_validation
    assert evaluation is not None
    assert folded is not None
    for name in evaluation.models:
        assert f"\n{name if name == 'stack' else f'{name} alone'} " in text
    for e in (evaluation, folded, *compared.comparisons):
        a = e.models["stack"].rows["accuracy"]
        assert f"{a.value:.3f} [{a.lower:.2f}, {a.upper:.2f}]" in text
    for heading in (
        "songs",
        "bal.",
        "top 2",
        "loss",
        "Brier",
        "ECE",
        "Ablation: the stack without each base model",
        "by recording",
        "in 3 folds",
    ):
        assert heading in text
    flat = " ".join(text.split())
    assert compared.contrast in flat
    assert "from resampling the held-out artists" in flat
