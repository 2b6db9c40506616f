"""Every figure and interval against one that somebody else computes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from genrestack_training import (
    Table,
)
from genrestack_training.data.splits import Split
from genrestack_training.evaluation.bootstrap import Resamples, percentile_interval
from genrestack_training.evaluation.evaluate import evaluate
from genrestack_training.evaluation.metrics import (
    BINS,
    METRIC_NAMES,
    Sums,
    class_metrics,
    compute_metrics,
    sums_by_group,
)
from genrestack_training.evaluation.predictions import Predictions, average_by_song
from genrestack_training.evaluation.results import Figure

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
    return {name: float(value[0]) for name, value in compute_metrics(sums).items()}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 300), classes=st.integers(2, 12), seed=st.integers(0, 10**6), sharp=st.floats(0.1, 30))
def test_every_figure_is_scikit_learns(rows: int, classes: int, seed: int, sharp: float) -> None:
    truth, p, decisions = draw(rows, classes, seed, sharp=sharp)
    found = ours(truth, p, decisions)
    assert tuple(found) == METRIC_NAMES
    assert found == pytest.approx(theirs(truth, p, decisions), abs=1e-12)
    sums = sums_by_group(truth, p, decisions, np.zeros(rows, dtype=int), 1)
    expected = precision_recall_fscore_support(truth, decisions, labels=np.arange(classes), zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
        np.testing.assert_allclose(class_metrics(sums)[name][0], values, atol=1e-12)


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
        assert {name: values[i] for name, values in compute_metrics(found).items()} == pytest.approx(expected, abs=1e-9)


def test_pieces_of_the_resampling_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, p, decisions = draw(60, 3, 3)
    parts = sums_by_group(truth, p, decisions, np.arange(60) // 3, 20)
    whole = Resamples(20, seed=4, resamples=50).sums(parts)
    monkeypatch.setattr("genrestack_training.evaluation.bootstrap._CELLS", 140)
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
    found = percentile_interval(float(np.mean(truth == decisions)), compute_metrics(spread)["accuracy"])
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
        figure = percentile_interval(0.5, compute_metrics(spread)["accuracy"])
        assert figure.lower is not None
        assert figure.upper is not None
        widths.append(figure.upper - figure.lower)
    assert widths[1] == pytest.approx(widths[0] * np.sqrt(10), rel=0.15)


def test_one_group_has_no_interval() -> None:
    assert Resamples(1, seed=0).sums(Sums(np.ones((1, 2, 2)), np.ones((1, 3)), np.ones((1, BINS, 3)))) is None
    assert percentile_interval(0.5, None) == Figure(0.5, None, None)


def predictions(truth: np.ndarray, p: np.ndarray, tracks: np.ndarray | None) -> Predictions:
    return Predictions(
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
    songs = average_by_song(predictions(truth, p, tracks))
    assert songs is not None
    assert songs.tracks is not None
    assert len(songs.rows) == 30
    for i, track in enumerate(songs.tracks):
        own = tracks == track
        np.testing.assert_allclose(songs.probabilities["stack"][i], p[own].mean(axis=0))
        assert songs.truth[i] == truth[own][0]
        assert songs.rows[i] == np.flatnonzero(own)[0]
    np.testing.assert_array_equal(songs.decisions["stack"], np.argmax(songs.probabilities["stack"], axis=1))
    assert average_by_song(predictions(truth, p, None)) is None
    two_labels = average_by_song(predictions(np.array([0, 1]), np.full((2, 3), 1 / 3), np.array(["t", "t"])))
    assert two_labels is not None
    assert two_labels.truth.tolist() == [0, 1]


def test_examples_are_those_the_stack_was_surest_of() -> None:
    truth = np.array([0, 0, 0, 0, 0, 1])
    p = np.array([[0.4, 0.6], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.9, 0.1], [0.6, 0.4]])
    split = Split("random", np.arange(6), np.arange(6), "")
    names = np.array([f"{i}.wav" for i in range(6)])
    found = evaluate(predictions(truth, p, None), [split], interval_unit="row", filenames=names, seconds=1.0, seed=0)
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
