"""The script that measures novelty: on songs of which one genre lies apart and the others do not."""

import numpy as np
import pytest

from tools.measure_novelty import auc_of, leave_one_genre_out


def test_a_genre_that_lies_apart_is_told_and_others_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["apart", "one", "other"], 120)
    songs = np.arange(360) // 3
    rows = rng.normal(size=(360, 5)) + np.where(labels == "apart", 12, 0)[:, None]
    leave_one_genre_out(rows, labels, songs, songs)
    lines = capsys.readouterr().out.splitlines()
    figures = {line.split()[0]: float(line.split("AUC ")[1].split(",")[0]) for line in lines}
    assert figures["apart"] == 1
    assert 0.2 < figures["one"] < 0.8
    assert lines[0].endswith("left out 1.000")
    assert list(figures) == ["apart", "one", "other", "mean"]


def test_the_auc_is_that_of_the_ranks() -> None:
    assert auc_of(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    assert auc_of(np.array([1.0, 4.0]), np.array([2.0, 3.0])) == 0.5
