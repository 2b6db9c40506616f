"""Columns and rows that give the label away: a warning for each, before anything is fitted.

Everything here is linear, or a sort, in the rows; what looks at single columns looks at a sample of whole recordings.
Every threshold stands in docs/tables.md.
"""

from collections.abc import Iterator
from math import lgamma, log
from typing import Final

import numpy as np

from genrestack_common.text import counted, listed, quoted, quoted_list
from genrestack_training.data.groups.grouping import Grouping
from genrestack_training.data.selection import drop_option
from genrestack_training.data.table import Table

TOLD: Final = 0.98
"""Balanced accuracy of one column alone, on recordings that were not looked at, from which it is warned of."""
LUCK: Final = 0.001
"""Columns of a table with labels dealt out at random that may be so, for a column that divides the classes to count."""
REPEATED: Final = 0.01
"""Share of rows that stand twice, of one recording or of none that is known, from which it is warned of."""
_SAMPLE: Final = 20_000
"""Rows that single columns are looked at in, and fewer of very many columns."""
_SAMPLE_VALUES: Final = 20_000_000
_FEWEST: Final = 2_000
_FOLDS: Final = 5
_HOPELESS: Final = 0.8
"""Balanced accuracy of a column in the first fold under which the others are not asked."""
_CHANCE: Final = 100
"""How many times as many rows must be equal as chance would have it, if columns were independent."""
_BLOCK: Final = 16
"""Columns that are copied at once."""
_NAMED: Final = 50
"""Columns that are named on a command line."""
_PIECE: Final = 65_536
"""Rows that are compared at once."""
_DOUBT: Final = (
    "If it numbers or names the rows, or was made from the label, the metrics are not those of a model for other songs."
)
_BY_CLASS: Final = (
    (
        "is", "are",
        ("in one-to-one relation with the label: the label under another name, so the metrics are those of a model "
        "that is told the answer."),
    ),
    (
        "has", "have",
        ("one value in all rows of each class: made from the label, so the metrics are those of a model that is "
        "told part of the answer."),
    ),
    ("has", "have", f"a range of its own for each class, which no row of another enters. {_DOUBT}"),
)  # fmt: skip
"""Verbs and the rest of the warning, for what the values of a column are in the rows of each class."""


def leakage_warnings(table: Table, labels: np.ndarray, grouping: Grouping, split: str) -> Iterator[str]:
    """Yield a line for each kind of thing that gives the label away.

    Args:
        table: its features are looked at.
        labels: str, shape (n,).
        grouping: which rows belong together.
        split: the name of the split.

    """
    classes, codes = np.unique(labels, return_inverse=True)
    units = grouping.tracks
    groups = np.arange(len(codes)) if units is None else np.unique(units, return_inverse=True)[1]
    names = table.feature_names
    by_classes = _columns_by_class(table.features, codes, len(classes))
    if lucky := _separated_by_chance(codes, groups, len(names)):
        by_classes = (*by_classes[:2], [])
    for (one, several, why), columns in zip(_BY_CLASS, by_classes, strict=True):
        if columns:
            subject = _subject([names[i] for i in columns], one, several)
            yield f"{subject} {why} {_remedy(names, columns)}"
    told = {} if lucky else _telling_columns(table.features, codes, groups, skipped=set().union(*by_classes))
    if told:
        of = "rows" if units is None else "recordings"
        shares = listed(f"{quoted(names[i])} ({share:.1%})" for i, share in list(told.items())[:5])
        yield (
            f"{_subject([names[i] for i in told], 'alone tells', 'each alone tell')} the label almost perfectly, on "
            f"{of} that were not looked at: {shares}. {_DOUBT} {_remedy(names, list(told))}"
        )
    yield from _repeated_rows(table.features, codes, grouping, split)


def _subject(names: list[str], one: str, several: str) -> str:
    return f"Column {quoted(names[0])} {one}" if len(names) == 1 else f"Columns {quoted_list(names)} {several}"


def _remedy(names: tuple[str, ...], columns: list[int]) -> str:
    it = "it" if len(columns) == 1 else "them"
    return f"Leave {it} out ({drop_option(names[i] for i in columns[:_NAMED])})"


def _columns_by_class(features: np.ndarray, codes: np.ndarray, classes: int) -> tuple[list[int], list[int], list[int]]:
    """Return the columns of each kind of `_BY_CLASS`."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(classes))
    copies: list[int] = []
    marks: list[int] = []
    ranges: list[int] = []
    for start in range(0, features.shape[1], _BLOCK):
        block = features[order, start : start + _BLOCK]
        low, high = np.minimum.reduceat(block, starts), np.maximum.reduceat(block, starts)
        for place, (least, most) in enumerate(zip(low.T, high.T, strict=True), start):
            upwards = np.argsort(least)
            if (least == most).all():
                values = len(np.unique(least))
                if values > 1:
                    (copies if values == classes else marks).append(place)
            elif (most[upwards][:-1] < least[upwards][1:]).all():
                ranges.append(place)
    return copies, marks, ranges


def _separated_by_chance(codes: np.ndarray, groups: np.ndarray, columns: int) -> bool:
    """Return whether some column would have the classes one above the other if the labels were dealt out at random.

    Recordings are dealt a label, not rows: of n in all and n₁, n₂ … of each of k classes, k! · n₁! · n₂! … / n! of the
    orders have no class within another.
    """
    recordings = np.unique(np.column_stack([groups, codes]), axis=0)
    counts = np.bincount(recordings[:, 1])
    orders = lgamma(len(counts) + 1) + sum(lgamma(count + 1) for count in counts.tolist()) - lgamma(len(recordings) + 1)
    return orders + log(columns) > log(LUCK)


def _telling_columns(
    features: np.ndarray, codes: np.ndarray, groups: np.ndarray, skipped: set[int]
) -> dict[int, float]:
    """Return the columns that alone tell the label of held-out groups, each with its balanced accuracy."""
    rows, folds = _sampled(groups, features.shape[1])
    if folds.max(initial=0) == 0:
        return {}
    codes = np.unique(codes[rows], return_inverse=True)[1]
    told = {}
    for start in range(0, features.shape[1], _BLOCK):
        block = np.nan_to_num(features[rows, start : start + _BLOCK], nan=-np.finfo(np.float64).max)
        for column in range(block.shape[1]):
            if start + column in skipped:
                continue
            share = _balanced_accuracy(block[:, column], codes, folds)
            if share >= TOLD:
                told[start + column] = share
    return told


def _sampled(groups: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole groups; return their rows' numbers, and the fold of each row."""
    most = min(_SAMPLE, max(_FEWEST, _SAMPLE_VALUES // max(1, columns)))
    count = int(groups.max()) + 1
    place = np.random.default_rng(0).permutation(count)
    if len(groups) > most:
        # Groups in the drawn order, until they have that many rows.
        sizes = np.bincount(groups, minlength=count)[np.argsort(place)]
        place[place > max(_FOLDS, int(np.searchsorted(np.cumsum(sizes), most)))] = -1
    rows = np.flatnonzero(place[groups] >= 0)
    return rows, place[groups][rows] % _FOLDS


def _balanced_accuracy(values: np.ndarray, codes: np.ndarray, folds: np.ndarray) -> float:
    """Predict each fold's rows from the others by the nearest value; return the mean recall of the classes."""
    classes = int(codes.max()) + 1
    right, asked = np.zeros(classes), np.zeros(classes)
    for fold in range(_FOLDS):
        here = folds == fold
        known = np.isin(codes, codes[~here]) & here
        if not known.any():
            continue
        hits = _nearest(values[~here], codes[~here], values[known]) == codes[known]
        right += np.bincount(codes[known][hits], minlength=classes)
        asked += np.bincount(codes[known], minlength=classes)
        if fold == 0 and (right / np.maximum(asked, 1))[asked > 0].mean() < _HOPELESS:
            return 0.0
    # Classes that were never asked about say nothing, and one class alone does not make a question.
    return float((right / np.maximum(asked, 1))[asked > 0].mean()) if (asked > 0).sum() > 1 else 0.0


def _nearest(values: np.ndarray, codes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return for each value asked the commonest code of the nearest value there is."""
    distinct, places = np.unique(values, return_inverse=True)
    pairs, counts = np.unique(places * (codes.max() + 1) + codes, return_counts=True)
    owners = pairs // (codes.max() + 1)
    order = np.lexsort((counts, owners))
    last = np.append(np.flatnonzero(np.diff(owners[order])), len(order) - 1)
    commonest = (pairs % (codes.max() + 1))[order][last]
    above = np.clip(np.searchsorted(distinct, asked), 0, len(distinct) - 1)
    below = np.maximum(above - 1, 0)
    with np.errstate(over="ignore"):
        nearer = np.abs(distinct[above] - asked) <= np.abs(asked - distinct[below])
    return np.asarray(commonest[np.where(nearer, above, below)])


def _repeated_rows(features: np.ndarray, codes: np.ndarray, grouping: Grouping, split: str) -> Iterator[str]:
    order, sets = _equal_rows(features)
    if not len(order) or not _beyond_chance(features, sets):
        return
    first = np.flatnonzero(np.diff(sets) == 0)
    here, there = order[first], order[first + 1]
    differing = len(np.unique(sets[first[codes[here] != codes[there]]]))
    contradiction = f" In {counted(differing, 'case')} the labels differ." if differing else ""
    tracks = grouping.tracks
    apart = np.zeros(len(here), dtype=bool) if tracks is None else tracks[here] != tracks[there]
    if tracks is not None and apart.any():
        pairs = np.unique(np.sort(np.column_stack([tracks[here[apart]], tracks[there[apart]]]), axis=1), axis=0)
        shown = listed((f"{quoted(a)} and {quoted(b)}" for a, b in pairs.tolist()), 5)
        yield (
            f"{len(np.unique(pairs))} recordings have rows that equal those of another recording, number by number: "
            f"{shown}.{contradiction} {_consequence(here[apart], there[apart], grouping, split)}"
        )
    rows = len(np.unique(np.concatenate([here[~apart], there[~apart]])))
    if rows >= REPEATED * len(features):
        kept = split in {"track", "artist", "collection"} and tracks is not None
        yield (
            f"{rows:,} of {len(features):,} rows stand in the table more than once, as data rows {here[~apart][0] + 1} "
            f"and {there[~apart][0] + 1} do.{contradiction} "
            + ("They count more than once. " if kept else "Those on both sides of a split flatter the metrics. ")
            + "Remove the repeats"
        )


def _consequence(here: np.ndarray, there: np.ndarray, grouping: Grouping, split: str) -> str:
    artists = grouping.artists
    if split == "artist" and artists is not None and (artists[here] == artists[there]).all():
        return "Each such pair has one artist, whom this split keeps whole; they count twice all the same"
    return (
        "Where one is fitted and the other held out, the metrics flatter the model. Remove one of each, or give them "
        "one name in a column for --track-column"
    )


def _equal_rows(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of rows that equal another one, sorted by what they equal, and the number of that set.

    They are compared as float32: one of two may have been written with fewer digits.
    """
    hashes = np.zeros(len(features), dtype=np.uint64)
    for column in range(features.shape[1]):
        # Adding zero makes one of the two zeros.
        bits = (_single(features[:, column]) + np.float32(0)).view(np.uint32).astype(np.uint64)
        hashes = (hashes ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    _, sets, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[sets] > 1)
    rows = rows[np.argsort(sets[rows], kind="stable")]
    found = sets[rows]
    # Rows of one hash are compared with the first of them.
    starts = np.append(0, np.flatnonzero(np.diff(found)) + 1) if len(found) else np.zeros(0, dtype=np.int64)
    heads = np.repeat(rows[starts], np.diff(np.append(starts, len(rows))))
    same = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), _PIECE):
        piece = slice(start, start + _PIECE)
        left, right = _single(features[rows[piece]]), _single(features[heads[piece]])
        same[piece] = ((left == right) | (np.isnan(left) & np.isnan(right))).all(axis=1)
    rows, found = rows[same], found[same]
    again = np.bincount(found, minlength=1)[found] > 1 if len(found) else np.zeros(0, dtype=bool)
    return rows[again], found[again]


def _single(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _beyond_chance(features: np.ndarray, sets: np.ndarray) -> bool:
    """Return whether more rows are equal than a table of few different values has by chance."""
    sizes = np.bincount(sets)
    pairs = float((sizes * (sizes - 1.0) / 2).sum())
    step = max(1, len(features) // _SAMPLE)
    expected = np.log(len(features) / 2) + np.log(len(features))
    for column in range(features.shape[1]):
        shares = np.unique(features[::step, column], return_counts=True)[1] / len(features[::step])
        expected += np.log((shares**2).sum())
        if np.log(pairs) > np.log(_CHANCE) + expected:
            return True  # further columns make it the less likely
    return False
