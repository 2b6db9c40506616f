"""Proofs that nothing of the rows held out leaks into the figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier
from training.conftest import LIGHT, windows_frame

from genrestack_training import (
    Table,
    load_table,
    train,
)
from genrestack_training.evaluation.ablation import metas_without_each

Make = Callable[..., Table]


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
        return metas_without_each(stack, columns, labels)

    monkeypatch.setattr("genrestack_training.experiments.metas_without_each", keeping)
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
