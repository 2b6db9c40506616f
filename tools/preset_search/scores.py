"""What the search goes by."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Score:
    """How well rows are answered."""

    windows: float
    """Share of the windows whose class is found."""
    songs: float
    """Share of the recordings whose class is found; the answer is the largest mean of the windows' probabilities."""
    log_loss: float
    """Mean of −log of the true class's probability, over windows."""

    @property
    def accuracy(self) -> float:
        """What is maximised: the mean of both shares."""
        return (self.windows + self.songs) / 2


def mean_score(scores: list[Score]) -> Score:
    """Return the mean of each figure."""
    return Score(*(float(np.mean([getattr(s, name) for s in scores])) for name in ("windows", "songs", "log_loss")))


def score(probabilities: Any, codes: Any, tracks: Any) -> Score:
    """Score answers.

    Args:
        probabilities: shape (n, k).
        codes: the true class of each window, shape (n,).
        tracks: number of each window's recording, shape (n,).

    """
    windows = float(np.mean(probabilities.argmax(axis=1) == codes))
    answers, truths = song_answers(probabilities, codes, tracks)
    # A nearest neighbour may give the true class nothing.
    given = np.maximum(probabilities[np.arange(len(codes)), codes], 1e-9)
    return Score(windows, float(np.mean(answers == truths)), float(-np.mean(np.log(given))))


def song_answers(probabilities: Any, codes: Any, tracks: Any) -> tuple[Any, Any]:
    """Return each recording's answered and true class, in the order of the recordings' numbers."""
    _, first, place = np.unique(tracks, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), probabilities.shape[1]))
    np.add.at(sums, place, probabilities)
    return sums.argmax(axis=1), codes[first]
