"""Every figure against one that somebody else computes, and the proofs that nothing leaks into them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.calibration import calibration_curve
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from training.conftest import LIGHT, Remembered
from training.test_splits import windows_frame

from genrestack_training import (
    Run,
    RunError,
    SettingsError,
    Table,
    TableError,
    load_answers,
    load_run,
    load_table,
    train,
)
from genrestack_training.answers import Answers, by_song
from genrestack_training.bootstrap import Resamples, interval
from genrestack_training.evaluation import evaluate
from genrestack_training.figures import Figure
from genrestack_training.measures import BINS, NAMES, Sums, class_figures, measure, sums_by_group
from genrestack_training.plain import from_plain
from genrestack_training.record import schema
from genrestack_training.splits import Split
from genrestack_training.summary import report_text
from genrestack_training.worth import reduced_metas

Make = Callable[..., Table]


def draw(rows: int, classes: int, seed: int, *, sharp: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True classes, probabilities that know a little of them, and decisions that mostly follow these."""
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=rows)
    scores = random.normal(size=(rows, classes)) * sharp
    scores[np.arange(rows), truth] += 1.0
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    decisions = np.where(random.random(rows) < 0.1, random.integers(classes, size=rows), np.argmax(p, axis=1))
    return truth, p, decisions


def theirs(truth: np.ndarray, p: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    """The figures as scikit-learn has them."""
    labels = np.arange(p.shape[1])
    top, right = p.max(axis=1), np.argmax(p, axis=1) == truth
    occupied = np.histogram(top, bins=np.linspace(0, 1, BINS + 1))[0]
    true_share, confidence = calibration_curve(right, top, n_bins=BINS, strategy="uniform")
    gaps = occupied[occupied > 0] / len(truth) * np.abs(true_share - confidence)
    return {
        "accuracy": accuracy_score(truth, decisions),
        "balanced_accuracy": balanced_accuracy_score(truth, decisions),
        "macro_f1": f1_score(truth, decisions, average="macro"),
        "log_loss": log_loss(truth, p, labels=labels),
        "brier": brier_score_loss(truth, p, labels=labels, scale_by_half=False),
        "ece": float(gaps.sum()),
        "top2": top_k_accuracy_score(truth, p, k=2, labels=labels) if len(labels) > 2 else 1.0,
    }


def ours(truth: np.ndarray, p: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    sums = sums_by_group(truth, p, decisions, np.zeros(len(truth), dtype=int), 1)
    return {name: float(value[0]) for name, value in measure(sums).items()}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 300), classes=st.integers(2, 12), seed=st.integers(0, 10**6), sharp=st.floats(0.1, 30))
def test_every_figure_is_scikit_learns(rows: int, classes: int, seed: int, sharp: float) -> None:
    truth, p, decisions = draw(rows, classes, seed, sharp=sharp)
    found = ours(truth, p, decisions)
    assert tuple(found) == NAMES
    assert found == pytest.approx(theirs(truth, p, decisions), abs=1e-12)
    sums = sums_by_group(truth, p, decisions, np.zeros(rows, dtype=int), 1)
    expected = precision_recall_fscore_support(truth, decisions, labels=np.arange(classes), zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        np.testing.assert_allclose(class_figures(sums)[name][0], values, atol=1e-12)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_certain_mistake_costs_what_scikit_learn_charges() -> None:
    p = np.array([[1.0, 0.0, 0.0], [0.0, 0.7, 0.3]])
    truth, decisions = np.array([1, 1]), np.array([0, 1])
    expected = theirs(truth, p, decisions)
    assert ours(truth, p, decisions)["log_loss"] == pytest.approx(expected["log_loss"])
    assert expected["log_loss"] > 18


def test_of_equal_probabilities_the_first_comes_first() -> None:
    """As `argmax` has it, so that no row is right by its first choice and wrong by its first two."""
    p = np.full((3, 3), 1 / 3)
    found = ours(np.array([0, 1, 2]), p, np.argmax(p, axis=1))
    assert (found["accuracy"], found["top2"]) == pytest.approx((1 / 3, 2 / 3))


def test_a_resample_is_the_rows_of_the_drawn_groups() -> None:
    """Written out row by row, and measured by scikit-learn."""
    truth, p, decisions = draw(200, 4, 3)
    groups = np.sort(np.random.default_rng(1).integers(25, size=200))
    resamples = Resamples(25, seed=9, resamples=6)
    parts = sums_by_group(truth, p, decisions, groups, 25)
    found = resamples.sums(parts)
    assert found is not None
    weights = np.concatenate(list(resamples._weights()))
    assert (weights.sum(axis=1) == 25).all()
    for i, drawn in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(200), drawn[groups])
        expected = theirs(truth[rows], p[rows], decisions[rows])
        assert {name: values[i] for name, values in measure(found).items()} == pytest.approx(expected, abs=1e-9)


def test_pieces_of_the_resampling_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, p, decisions = draw(60, 3, 3)
    parts = sums_by_group(truth, p, decisions, np.arange(60) // 3, 20)
    whole = Resamples(20, seed=4, resamples=50).sums(parts)
    monkeypatch.setattr("genrestack_training.bootstrap._CELLS", 140)
    pieces = Resamples(20, seed=4, resamples=50).sums(parts)
    assert whole is not None
    assert pieces is not None
    np.testing.assert_array_equal(pieces.confusion, whole.confusion)
    np.testing.assert_allclose(pieces.bins, whole.bins)


def test_the_interval_is_scipys_bootstrap_of_groups() -> None:
    """Groups of one size: then accuracy is the mean of the groups' own, which scipy can resample."""
    truth, p, decisions = draw(600, 3, 11)
    groups = np.arange(600) // 10
    parts = sums_by_group(truth, p, decisions, groups, 60)
    spread = Resamples(60, seed=0).sums(parts)
    assert spread is not None
    found = interval(float(np.mean(truth == decisions)), measure(spread)["accuracy"])
    means = (truth == decisions).reshape(60, 10).mean(axis=1)
    expected = bootstrap((means,), np.mean, n_resamples=2000, method="percentile", rng=1).confidence_interval
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_rows_that_go_together_widen_the_interval() -> None:
    """Ten copies of each row are no more evidence than one."""
    truth, p, decisions = (np.repeat(a, 10, axis=0) for a in draw(60, 3, 2))
    widths = []
    for groups in (np.arange(600), np.arange(600) // 10):
        spread = Resamples(len(np.unique(groups)), seed=0).sums(
            sums_by_group(truth, p, decisions, groups, len(np.unique(groups)))
        )
        assert spread is not None
        figure = interval(0.5, measure(spread)["accuracy"])
        assert figure.lower is not None
        assert figure.upper is not None
        widths.append(figure.upper - figure.lower)
    assert widths[1] == pytest.approx(widths[0] * np.sqrt(10), rel=0.15)


def test_one_group_has_no_interval() -> None:
    assert Resamples(1, seed=0).sums(Sums(np.ones((1, 2, 2)), np.ones((1, 3)), np.ones((1, BINS, 3)))) is None
    assert interval(0.5, None) == Figure(0.5, None, None)


def answers(truth: np.ndarray, p: np.ndarray, tracks: np.ndarray | None) -> Answers:
    return Answers(
        classes=tuple("abcdefghij"[: p.shape[1]]),
        rows=np.arange(len(truth)),
        truth=truth,
        groups=np.arange(len(truth)),
        tracks=tracks,
        probabilities={"stack": p},
        decisions={"stack": np.argmax(p, axis=1)},
        without={},
    )


def test_a_song_is_answered_by_the_mean_of_its_rows() -> None:
    truth, p, _ = draw(90, 3, 5)
    tracks = np.array([f"t{i % 30}" for i in range(90)])
    truth = truth[:30][np.arange(90) % 30]
    songs = by_song(answers(truth, p, tracks))
    assert songs is not None
    assert songs.tracks is not None
    assert len(songs.rows) == 30
    for i, track in enumerate(songs.tracks):
        own = tracks == track
        np.testing.assert_allclose(songs.probabilities["stack"][i], p[own].mean(axis=0))
        assert songs.truth[i] == truth[own][0]
        assert songs.rows[i] == np.flatnonzero(own)[0]
    np.testing.assert_array_equal(songs.decisions["stack"], np.argmax(songs.probabilities["stack"], axis=1))
    assert by_song(answers(truth, p, None)) is None
    two_labels = by_song(answers(np.array([0, 1]), np.full((2, 3), 1 / 3), np.array(["t", "t"])))
    assert two_labels is not None
    assert two_labels.truth.tolist() == [0, 1]


def test_examples_are_those_the_stack_was_surest_of() -> None:
    truth = np.array([0, 0, 0, 0, 0, 1])
    p = np.array([[0.4, 0.6], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.9, 0.1], [0.6, 0.4]])
    split = Split("random", np.arange(6), np.arange(6), "")
    names = np.array([f"{i}.wav" for i in range(6)])
    found = evaluate(answers(truth, p, None), [split], interval_unit="row", filenames=names, seconds=1.0, seed=0)
    first, second = found.confused
    assert (first.truth, first.answer, first.rows) == ("a", "b", 4)
    assert [(e.row, e.filename, e.probability) for e in first.examples] == [
        (2, "1.wav", 0.9),
        (4, "3.wav", 0.8),
        (3, "2.wav", 0.7),
    ]
    assert (second.truth, second.answer, second.rows) == ("b", "a", 1)
    assert sum(b.rows for b in found.models["stack"].reliability) == 6
    assert found.songs is None


# runs


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Table:
    path = tmp_path_factory.mktemp("windows") / "windows.csv"
    windows_frame().to_csv(path, index=False)
    return load_table(path, artist_column="artist")


@pytest.fixture(scope="module")
def compared(windows: Table, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(windows, overrides=LIGHT, folds=3, compare=["random", "track"], run_dir=folder)


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
    found = load_answers(tmp_path / "run")["evaluation"]
    for name in ("knn", "svc"):
        (other,) = [(n, e) for n, e in run.stack.estimators if n != name]
        reduced = StackingClassifier(
            [other], LogisticRegression(max_iter=1000), cv=run.stack.cv, passthrough=passthrough
        )
        reduced.fit(run.scaled(run.training_rows), run.training_labels)
        expected = reduced.predict_proba(run.scaled(run.reference_rows))
        np.testing.assert_allclose(run.answers["evaluation"].without[name], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.without[name], expected, rtol=0, atol=1e-7)
        accuracy = reduced.score(run.scaled(run.reference_rows), run.reference_labels)
        worth = run.evaluation.worth[name]
        assert worth.accuracy_without.value == pytest.approx(accuracy)
        assert worth.accuracy_gain.value == pytest.approx(run.evaluation.accuracy - accuracy)


def test_the_answers_are_the_fitted_stacks(compared: Run) -> None:
    rows = compared.scaled(compared.reference_rows)
    kept = compared.answers["evaluation"]
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
    assert any("There are no figures by recording to compare with" in line for line in run.provenance.warnings)
    with pytest.raises(TableError, match="folds need at least 6 recordings"):
        train(table, overrides={"stack": {**LIGHT["stack"], "folds": 6}}, compare=["track"], runs_dir=None)


def test_cross_validation_answers_every_row_once(compared: Run, windows: Table) -> None:
    """Over artists, because they are known; and the exported model stays the random split's."""
    folded = compared.cross_validation
    assert folded is not None
    assert (folded.split, folded.folds, folded.rows) == ("artist", 3, 108)
    assert sorted(compared.answers["folds"].rows.tolist()) == list(range(108))
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
    held_back = run.answers["evaluation"].rows
    np.testing.assert_array_equal(run.answers["folds"].rows[: len(held_back)], held_back)


def test_folds_and_comparisons_that_cannot_be(windows: Table) -> None:
    with pytest.raises(SettingsError, match="over 1 folds holds nothing back; choose 2 or more"):
        train(windows, folds=1, runs_dir=None)
    with pytest.raises(SettingsError, match="no split 'album' to compare with; choose from random, track, artist"):
        train(windows, compare=["album"], runs_dir=None)
    with pytest.raises(TableError, match="13 folds need at least 13 artists, and there are 12"):
        train(windows, folds=13, runs_dir=None)


# leaks


def shuffled(tmp_path: Path) -> Table:
    """Recordings that are easy to recognise by their windows, with labels that have nothing to do with them."""
    random = np.random.default_rng(0)
    frame = windows_frame(tracks=150, windows=4).drop(columns="artist")
    track = np.repeat(np.arange(150), 4)
    columns = ["alpha", "beta", "gamma", "tempo"]
    frame[columns] = random.normal(size=(150, 4))[track] + 0.05 * random.normal(size=(600, 4))
    frame["label"] = np.array(["blues", "jazz", "rock"])[random.permutation(np.arange(150) % 3)[track]]
    # Windows that stand side by side would fall into the same fold by themselves.
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "shuffled.csv", index=False)
    return load_table(tmp_path / "shuffled.csv")


def test_shuffled_labels_score_at_chance(tmp_path: Path) -> None:
    """Apart by recording, nothing can be known; at random, the recordings are recognised: the figure is of that."""
    overrides = {"stack": {**LIGHT["stack"], "folds": 3}, "svc": {"C": 1}}
    run = train(shuffled(tmp_path), overrides=overrides, folds=4, runs_dir=None)
    apart = run.cross_validation
    assert apart is not None
    assert run.evaluation is not None
    assert run.evaluation.accuracy > 0.95
    for name, figures in apart.models.items():
        accuracy = figures.rows["accuracy"]
        # A third, give or take three standard errors of 150 songs.
        assert abs(accuracy.value - 1 / 3) < 3 * np.sqrt(2 / 9 / 150), name
    assert apart.accuracy < run.evaluation.accuracy - 0.5
    assert "go by" in run.contrast


@pytest.mark.parametrize(("by", "leaks"), [("split", False), ("rows", True)])
def test_the_meta_learner_sees_no_answers_to_recordings_that_were_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, leaks: bool
) -> None:
    """With inner folds of single rows, what it learns from knows the shuffled labels; with whole recordings not."""
    kept: list[tuple[np.ndarray, np.ndarray]] = []

    def keeping(stack: StackingClassifier, columns: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        kept.append((columns, np.searchsorted(stack.classes_, labels)))
        return reduced_metas(stack, columns, labels)

    monkeypatch.setattr("genrestack_training.trial.reduced_metas", keeping)
    overrides = {"stack": {**LIGHT["stack"], "folds": 3, "folds_by": by, "passthrough": False}}
    train(shuffled(tmp_path), overrides=overrides, split="track", runs_dir=None)
    ((columns, codes),) = kept
    knn = np.mean(np.argmax(columns[:, :3], axis=1) == codes)
    assert (knn > 0.9) == leaks
    assert leaks or abs(knn - 1 / 3) < 3 * np.sqrt(2 / 9 / 120)


def test_the_scaler_has_not_seen_the_rows_held_back(windows: Table) -> None:
    run = train(windows, overrides=LIGHT, split="track", runs_dir=None)
    assert run.scaler is not None
    np.testing.assert_array_equal(run.scaler.data_max_, run.training_rows.max(axis=0))


# on disk


def test_the_schema_in_the_repository_is_the_codes() -> None:
    written = json.loads((ROOT / "docs" / "metrics.schema.json").read_text(encoding="utf-8"))
    assert written == schema(), "write it again: python -m genrestack_training.record > docs/metrics.schema.json"


def test_metrics_follow_their_schema(compared: Run, small_table: Table, tmp_path: Path) -> None:
    valid = fastjsonschema.compile(schema())
    assert compared.path is not None
    train(small_table, overrides=LIGHT, split="none", run_dir=tmp_path / "none")
    for folder in (compared.path, tmp_path / "none"):
        text = (folder / "metrics.json").read_text(encoding="utf-8")
        valid(json.loads(text))
        assert len(text) < 1_000_000
    broken = json.loads(text) | {"format": "two"}
    with pytest.raises(fastjsonschema.JsonSchemaValueException):
        valid(broken)


def test_a_run_with_all_its_figures_is_read_back(compared: Run) -> None:
    assert compared.path is not None
    read = load_run(compared.path)
    assert read.evaluation == compared.evaluation
    assert read.comparisons == compared.comparisons
    assert read.cross_validation == compared.cross_validation
    assert read.insight == compared.insight
    assert read.contrast == compared.contrast != ""
    kept = load_answers(compared.path)
    assert set(kept) == set(compared.answers) == {"evaluation", "track_split", "folds"}
    for key, before in compared.answers.items():
        np.testing.assert_array_equal(kept[key].rows, before.rows)
        np.testing.assert_array_equal(kept[key].decisions["svc"], before.decisions["svc"])
        np.testing.assert_allclose(kept[key].probabilities["stack"], before.probabilities["stack"], rtol=0, atol=1e-7)
        assert kept[key].classes == before.classes
    (compared.path / "answers.npz").rename(compared.path / "aside")
    np.savez(compared.path / "answers.npz", allow_pickle=False, **{"evaluation/rows": np.arange(3)})
    with pytest.raises(RunError, match=r"answers\.npz does not hold what a run holds"):
        load_answers(compared.path)
    (compared.path / "aside").rename(compared.path / "answers.npz")


def test_what_the_report_draws_is_kept(tiny_run: Run) -> None:
    insight = tiny_run.insight
    assert insight.meta is not None
    labels = ("blues", "jazz", "röck & roll")
    names = [f"{m}:{label}" for m in ("knn", "svc", "mlp") for label in labels]
    assert insight.meta.columns == (*names, "alpha", "beta", "gamma", "tempo")
    np.testing.assert_array_equal(insight.meta.coefficients, tiny_run.stack.final_estimator_.coef_)
    np.testing.assert_array_equal(insight.meta.intercepts, tiny_run.stack.final_estimator_.intercept_)
    assert set(insight.curves) == {"mlp"}
    assert insight.curves["mlp"].loss == tuple(tiny_run.stack.named_estimators_["mlp"].history_["loss"])
    alpha = insight.features[0]
    fitted, held_back = tiny_run.training_rows[:, 0], tiny_run.reference_rows[:, 0]
    assert (alpha.name, alpha.fitted_min, alpha.fitted_max) == ("alpha", fitted.min(), fitted.max())
    assert (alpha.held_back_min, alpha.held_back_max) == (held_back.min(), held_back.max())
    assert alpha.outside == np.mean((held_back < fitted.min()) | (held_back > fitted.max()))


def test_values_of_the_wrong_kind_are_refused() -> None:
    assert from_plain(Figure, {"value": 1, "lower": None, "upper": 0.5}) == Figure(1.0, None, 0.5)
    wrongs: list[Any] = [{"value": "1", "lower": None, "upper": None}, {"value": 1.0, "lower": None}, []]
    for wrong in wrongs:
        with pytest.raises((TypeError, KeyError)):
            from_plain(Figure, wrong)


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
        "The stack without",
        "by recording",
        "in 3 folds",
    ):
        assert heading in text
    flat = " ".join(text.split())
    assert compared.contrast in flat
    assert "from resampling the artists held back" in flat
