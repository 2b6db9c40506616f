"""The figures of the outer folds, with intervals over groups."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tools.preset_search.looking import PRESETS, answers_file
from tools.preset_search.partition import FOLDS, Partition
from tools.preset_search.scores import song_answers

DRAWS = 10_000
FIRST = ("notebook", "stack")


@dataclass(frozen=True, eq=False)
class Counts:
    """What was right in each group of one fold: (groups,) each."""

    right: Any
    asked: Any


@dataclass(frozen=True)
class Figure:
    """A mean over the outer folds with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def tell(partition: Partition, cache: Path, record: Path, seed: int) -> None:
    """Print accuracies of `best` and `notebook` and their paired differences, and write them to `<unit>-figures.csv`.

    Each figure is given of all folds that both presets have been asked about, and of the one whose training side
    searched.
    """
    asked = [f for f in range(FOLDS) if all(answers_file(cache, partition.unit, p, f).exists() for p in PRESETS)]
    lines = [
        [partition.unit, *line] for folds in (asked, [0]) if folds for line in _lines(partition, cache, folds, seed)
    ]
    record.mkdir(parents=True, exist_ok=True)
    with (record / f"{partition.unit}-figures.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["unit", "folds", "level", "of", "less", "mean", "low", "high"])
        writer.writerows(lines)
    print("\n".join(as_table(lines)))


def as_table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write figures as a Markdown table: accuracy with its interval, and in points what it is more than another."""
    yield "| kept whole | folds | answered by | windows | songs |"
    yield "|---|---|---|---|---|"
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for unit, folds, level, of, less, *numbers in lines:
        mean, low, high = (float(number) for number in numbers)
        if less:
            cell = f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        else:
            cell = f"{mean:.3f} [{low:.3f}, {high:.3f}]"
        cells.setdefault((unit, folds, f"{of} less {less}" if less else of), {})[level] = cell
    for (unit, folds, of), by_level in cells.items():
        yield f"| {unit} | {folds} | {of} | {by_level['windows']} | {by_level['songs']} |"


def _lines(partition: Partition, cache: Path, folds: Sequence[int], seed: int) -> Iterator[list[str]]:
    for level in ("windows", "songs"):
        counts = {name: _counts(partition, cache, name, level, folds) for name in _names(partition, cache, folds[0])}
        for name, own in counts.items():
            against = [] if name == FIRST else [counts[FIRST]]
            against += [counts["best", "stack"]] if name[0] == "best" and name[1] != "stack" else []
            for figure, other in zip(figures(own, against, seed), ("", "notebook stack", "best stack"), strict=False):
                yield [" ".join(map(str, folds)), level, " ".join(name), other, *_texts(figure)]


def figures(folds: Sequence[Counts], against: Sequence[Sequence[Counts]], seed: int) -> list[Figure]:
    """Return the mean accuracy over the folds, and its paired difference to each of `against`.

    The interval is the bootstrap's: in every fold its groups are drawn with replacement, the same for both sides
    of a difference, and 2.5 % of `DRAWS` means lie on either side.
    """
    draws = _draws(folds, seed)
    others = [np.zeros(DRAWS + 1), *(_means(other, draws) for other in against)]
    own = _means(folds, draws)
    return [
        Figure(float(d[0]), *(float(q) for q in np.quantile(d[1:], [0.025, 0.975]))) for d in (own - o for o in others)
    ]


def _draws(folds: Sequence[Counts], seed: int) -> list[Any]:
    """How often each group counts in each draw, (1 + draws, groups) a fold; the first draw is the data itself."""
    random = np.random.default_rng(seed)
    return [
        np.vstack([np.ones(n, dtype=np.int64), random.multinomial(n, np.full(n, 1 / n), size=DRAWS)])
        for n in (len(fold.right) for fold in folds)
    ]


def _means(folds: Sequence[Counts], draws: Sequence[Any]) -> Any:
    return np.mean([(d @ f.right) / (d @ f.asked) for f, d in zip(folds, draws, strict=True)], axis=0)


def _names(partition: Partition, cache: Path, fold: int) -> list[tuple[str, str]]:
    """Name what there are answers of, the notebook's stack first."""
    names = []
    for preset in PRESETS:
        with np.load(answers_file(cache, partition.unit, preset, fold)) as kept:
            names += [(preset, name) for name in kept.files if name != "seconds"]
    return names


def _counts(partition: Partition, cache: Path, name: tuple[str, str], level: str, folds: Sequence[int]) -> list[Counts]:
    counts = []
    for fold in folds:
        here = partition.held_back(fold)
        with np.load(answers_file(cache, partition.unit, name[0], fold)) as kept:
            answers = kept[name[1]]
        codes, tracks, groups = partition.codes[here], partition.tracks[here], partition.groups[here]
        if level == "windows":
            right = answers.argmax(axis=1) == codes
        else:
            found, true = song_answers(answers, codes, tracks)
            right, groups = found == true, groups[np.unique(tracks, return_index=True)[1]]
        place = np.unique(groups, return_inverse=True)[1]
        counts.append(Counts(np.bincount(place, weights=right), np.bincount(place)))
    return counts


def _texts(figure: Figure) -> list[str]:
    return [f"{value:.4f}" for value in (figure.mean, figure.low, figure.high)]
