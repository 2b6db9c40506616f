"""The script that compares runs of different tables on the same songs."""

import numpy as np
import pytest

from genrestack_training.evaluation.predictions import Predictions
from tools.compare_songs import compare


def answered(songs: list[str], right: np.ndarray, rows: int) -> Predictions:
    """Answers to songs of two classes, each in some rows; two songs are a group."""
    names = np.repeat(songs, rows)
    truth = np.zeros(len(names), dtype=np.int64)
    first = np.repeat(np.where(right, 0.9, 0.2), rows)
    probabilities = np.column_stack([first, 1 - first])
    return Predictions(
        classes=("a", "b"),
        rows=np.arange(len(names)),
        truth=truth,
        groups=np.repeat(np.arange(len(songs)) // 2, rows),
        tracks=names,
        probabilities={"stack": probabilities},
        decisions={"stack": probabilities.argmax(axis=1)},
        without={},
    )


def test_songs_are_matched_by_name_and_resampled_by_group() -> None:
    songs = [f"song {number:02d}" for number in range(40)]
    one = answered(songs, np.arange(40) % 4 == 0, rows=3)
    # In another order, with other rows, and one song that the first has not.
    backwards = [*songs[::-1], "stranger"]
    other = answered(backwards, np.arange(40, -1, -1) % 4 != 1, rows=2)
    found = compare(one, other)
    assert (found.songs, found.groups) == (40, 20)
    assert found.first.value == 0.25
    assert found.second.value == 0.75
    assert found.difference.value == 0.5
    lower, upper = found.first.lower, found.first.upper
    assert lower is not None
    assert upper is not None
    # Ten of the twenty groups have one of their two songs right: binomial, by halves.
    assert lower == pytest.approx(0.25 - 1.96 * 0.25 / 20**0.5, abs=0.03)
    assert upper == pytest.approx(0.25 + 1.96 * 0.25 / 20**0.5, abs=0.03)
