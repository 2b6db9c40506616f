"""Compare two runs of different tables on the songs that both held out: `tools/compare_songs.py RUN OTHER`.

`genrestack report RUN OTHER` compares runs of one table. Other features make another table; the songs are the same. A
song's answer is the most probable class of its rows' mean; the interval resamples the groups of the first run (artists,
where those were kept apart).
"""

import argparse
from dataclasses import dataclass

import numpy as np

from genrestack_training import load_predictions
from genrestack_training.evaluation.bootstrap import RESAMPLES, percentile_interval
from genrestack_training.evaluation.predictions import STACK, Predictions, average_by_song
from genrestack_training.evaluation.results import Figure

SEED = 42


@dataclass(frozen=True)
class Comparison:
    """Two stacks on the same songs."""

    songs: int
    groups: int
    first: Figure
    """Share of songs that were answered right."""
    second: Figure
    difference: Figure
    """The second less the first, on the same resamples."""


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Compare answers to rows on the songs that both have."""
    one, other = average_by_song(first), average_by_song(second)
    if one is None or other is None or one.tracks is None or other.tracks is None:
        raise SystemExit("a run does not know which rows are of one song")
    names, *places = np.intersect1d(one.tracks, other.tracks, return_indices=True)
    right = [
        (songs.decisions[STACK] == songs.truth)[taken].astype(np.float64)
        for songs, taken in zip((one, other), places, strict=True)
    ]
    groups = np.unique(one.groups[places[0]], return_inverse=True)[1]
    sums = np.stack([np.bincount(groups, weights=values) for values in (*right, np.ones(len(names)))])
    count = sums.shape[1]
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES) @ sums.T
    shares = drawn[:, :2] / drawn[:, 2:]
    means = [float(values.mean()) for values in right]
    return Comparison(
        songs=len(names),
        groups=count,
        first=percentile_interval(means[0], shares[:, 0]),
        second=percentile_interval(means[1], shares[:, 1]),
        difference=percentile_interval(means[1] - means[0], shares[:, 1] - shares[:, 0]),
    )


def main() -> None:
    """Print the share of songs that each run has right, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("other")
    parser.add_argument("--evaluation", default="folds", help="folds, or evaluation for the exported model's rows")
    options = parser.parse_args()
    predictions = []
    for run in (options.run, options.other):
        found = load_predictions(run)
        if options.evaluation not in found:
            raise SystemExit(f"{run} has no {options.evaluation}; it has {', '.join(found)}")
        predictions.append(found[options.evaluation])
    compared = compare(*predictions)
    print(f"{options.run}: {_shown(compared.first)}")
    print(f"{options.other}: {_shown(compared.second)}")
    print(f"difference: {_shown(compared.difference, '+')}, over {compared.songs:,} songs in {compared.groups} groups")


def _shown(figure: Figure, sign: str = "") -> str:
    return f"{figure.value:{sign}.3f} [{figure.lower:{sign}.3f}, {figure.upper:{sign}.3f}]"


if __name__ == "__main__":
    main()
