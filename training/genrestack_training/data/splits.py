"""Which rows are fitted and which are held out: one function per split.

To add a split, write its function, and name it in `SPLITS` and in `settings.SPLIT_NAMES`.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from genrestack_common.text import quoted, quoted_list
from genrestack_training.data.groups.grouping import UNITS, Grouping, find_grouping
from genrestack_training.data.table import Table
from genrestack_training.errors import SettingsError, TableError

_NAMED = 5
Folds = list[tuple[np.ndarray, np.ndarray]]
"""(training, test) row numbers, int64, of each fold; every row is in the test side of exactly one."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a table, int64, on either side of a split.

    Their order counts: the stack's folds are consecutive stretches of the training rows.
    """

    name: str
    training: np.ndarray
    test: np.ndarray
    meaning: str
    """Two plain sentences for the report: what was done, and what its figures measure."""
    unit: str = "row"
    """What is kept whole: a key of `UNITS`."""


"""(training, test) row numbers, int64, of each fold; every row is in the test side of exactly one."""
Splitter = Callable[[Table, Grouping, float, int], Split]


def make_split(
    name: str,
    table: Table,
    *,
    test_share: float,
    seed: int,
    grouping: Grouping | None = None,
    holdout: str | None = None,
) -> Split:
    """Split a labelled table.

    Args:
        name: a key of `SPLITS`.
        table: rows with labels.
        test_share: share of the rows to hold out, between 0 and 1; grouped splits hold out one of 1/share folds.
        seed: makes the draw repeatable.
        grouping: which rows belong together; by default what the table says.
        holdout: the collection that the split "collection" holds out.

    Raises:
        SettingsError: there is no such split, or a collection to hold out is not named, or for another split.
        TableError: the table has too few rows or groups for it, or does not say what belongs together.

    """
    if name == "collection":
        return collection_split(table, grouping or find_grouping(table), holdout=holdout)
    if holdout is not None:
        raise SettingsError(f"a collection to hold out is named, and the split is {name!r}; choose --split collection")
    try:
        split = SPLITS[name]
    except KeyError:
        raise SettingsError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}") from None
    return split(table, grouping or find_grouping(table), test_share, seed)


def random_split(table: Table, grouping: Grouping, test_share: float, seed: int) -> Split:
    """Hold out rows at random, the classes in equal shares on both sides, as the notebook does."""
    rows = np.arange(len(table.features))
    classes = set(np.asarray(table.labels).tolist())
    test_rows = int(np.ceil(test_share * len(rows)))
    if test_rows < len(classes) or len(rows) - test_rows < len(classes):
        raise TableError(
            f"{len(rows)} rows split {1 - test_share:.0%}/{test_share:.0%} leave a side with fewer rows than there are "
            f'classes ({len(classes)}); add rows, or train without figures (split "none")',
        )
    training, test = train_test_split(rows, test_size=test_share, stratify=table.labels, random_state=seed)
    meaning = (
        f"{len(test)} of {len(rows)} rows, drawn at random with the classes in equal shares, were held out from the "
        f"fit, and every metric is measured on them alone. {_random_split_caveat(grouping)}"
    )
    return Split("random", training, test, meaning)


def _random_split_caveat(grouping: Grouping) -> str:
    """Return what a random split cannot show."""
    if grouping.windowed:
        return (
            "Several rows were cut from each recording and stand on both sides, so the metrics measure how well "
            "recordings are recognised, not how well genres of unheard recordings are."
        )
    if grouping.tracks is not None:
        return "Recordings of one artist or album stand on both sides, so the metrics flatter the model a little."
    return "Where several rows come from one source, they stand on both sides, and the metrics flatter the model."


def no_split(table: Table, grouping: Grouping, test_share: float, seed: int) -> Split:  # noqa: ARG001 - one signature
    """Fit on every row and hold out none.

    The rows are shuffled, so that the stack's folds are drawn as after a random split and not in the table's order.
    """
    rows = np.random.default_rng(seed).permutation(len(table.features))
    meaning = (
        f"All {len(rows)} rows were fitted and none was held out, so there are no metrics of how good the model is. "
        "Train with a split, or with folds, to get figures."
    )
    return Split("none", rows, rows[:0], meaning, grouping.honest_unit)


def track_split(table: Table, grouping: Grouping, test_share: float, seed: int) -> Split:
    """Hold out whole recordings."""
    means = "so the metrics measure how well genres of unheard recordings are recognised, by artists heard or unheard."
    return _grouped_split("track", means, table, grouping, test_share, seed)


def artist_split(table: Table, grouping: Grouping, test_share: float, seed: int) -> Split:
    """Hold out whole artists with all their recordings."""
    means = "so the metrics measure how well genres are recognised in music by artists never heard."
    return _grouped_split("artist", means, table, grouping, test_share, seed)


def collection_split(
    table: Table,
    grouping: Grouping,
    test_share: float = 0.0,  # noqa: ARG001 - one signature
    seed: int = 0,  # noqa: ARG001 - likewise
    *,
    holdout: str | None = None,
) -> Split:
    """Hold out one of several tables as a whole."""
    names = [] if table.collections is None else list(dict.fromkeys(table.collections.tolist()))
    if table.collections is None or len(names) < 2:
        raise TableError("there is one table, and a split by collection holds one of several out; name the others too")
    if holdout not in names:
        what = "no collection to hold out is named" if holdout is None else f"there is no collection {quoted(holdout)}"
        raise SettingsError(f"{what}; choose one with --holdout: {quoted_list(names)}")
    held = table.collections == holdout
    labels = np.asarray(table.labels)
    lost = np.setdiff1d(labels[held], labels[~held])
    if len(lost):
        raise TableError(
            f"collection {holdout} has labels that no other collection has: {quoted_list(lost.tolist(), _NAMED)}. "
            "Remove these rows, or add rows of these labels to another collection"
        )
    training, test = np.flatnonzero(~held), np.flatnonzero(held)
    others = quoted_list([name for name in names if name != holdout])
    meaning = (
        f"All {len(test)} rows of collection {quoted(holdout)} were held out from a fit of the {len(training)} rows of "
        f"{others}, and every metric is measured on them alone. No collection stands on both sides, so the metrics "
        f"measure how well genres are recognised in music from elsewhere.{_shared_artists(grouping, held)}"
    )
    return Split("collection", training, test, meaning, grouping.honest_unit)


def _shared_artists(grouping: Grouping, held: np.ndarray) -> str:
    if grouping.artists is None:
        return ""
    both = len(np.intersect1d(grouping.artists[held], grouping.artists[~held]))
    return f" Of its artists, {both} are in the others too." if both else ""


def fold_splits(unit: str, labels: np.ndarray, grouping: Grouping, folds: int, seed: int) -> list[Split]:
    """Divide a table into folds that share no group; each is held out once.

    Args:
        unit: what is kept whole, a key of `UNITS`.
        labels: str, shape (n,).
        grouping: which rows belong together.
        folds: how many, at least 2.
        seed: makes the draw repeatable.

    Raises:
        TableError: there are too few groups, or the unit is not known of this table.

    """
    name = "random" if unit == "row" else unit
    sides = grouped_folds(labels, grouping.groups(unit), folds, seed, UNITS[unit])
    meaning = (
        f"Each of {folds} folds of {UNITS[unit]} was held out once from a fit of its own, and the metrics are "
        f"measured on all {len(labels)} rows, each answered by the fit that had not seen its fold."
    )
    return [Split(name, training, test, meaning, unit) for training, test in sides]


def _grouped_split(unit: str, means: str, table: Table, grouping: Grouping, test_share: float, seed: int) -> Split:
    labels, groups = np.asarray(table.labels), grouping.groups(unit)
    training, test = _sides(grouped_folds(labels, groups, folds_of(test_share), seed, UNITS[unit]), unit)
    held_back, in_all = len(np.unique(groups[test])), len(np.unique(groups))
    meaning = (
        f"{held_back} of {in_all} {UNITS[unit]} ({len(test)} of {len(labels)} rows), the classes in shares as equal as "
        f"can be, were held out as a whole, and every metric is measured on them alone. No {unit} stands on both "
        f"sides, {means}"
    )
    return Split(unit, training, test, meaning, unit)


def folds_of(test_share: float) -> int:
    """Return the number of folds of which one comes nearest to that share of the rows."""
    return max(2, round(1 / test_share))


def inner_folds(by: str, split: Split, labels: np.ndarray, grouping: Grouping, folds: int, seed: int) -> Folds | None:
    """Split the training rows into the folds that the meta-learner's rows come from.

    Args:
        by: what they keep whole, as `StackSettings.folds_by` has it.
        split: the outer split.
        labels: of all rows, str, shape (n,).
        grouping: of all rows.
        folds: how many.
        seed: makes the draw repeatable.

    Returns:
        Numbers of rows within `split.training`; None where nothing but single rows is kept whole, for which the stack's
        own way of cutting folds does.

    Raises:
        TableError: the training side has too few groups.

    """
    unit = inner_unit(by, split, grouping)
    if unit == "row":
        return None
    try:
        return grouped_folds(labels[split.training], grouping.groups(unit)[split.training], folds, seed, UNITS[unit])
    except TableError as exc:
        raise TableError(f"of the rows left to fit, for the stack's own folds: {exc}") from None


def inner_unit(by: str, split: Split, grouping: Grouping) -> str:
    """Return what folds of a split's training rows keep whole, a key of `UNITS`; `by` is that of `inner_folds`."""
    units = {
        "split": split.unit,
        "rows": "row",
        "tracks": "track" if grouping.windowed else "row",
        "groups": max(split.unit, grouping.honest_unit, key=list(UNITS).index),
    }
    return units[by]


def calibration_groups(by: str, split: Split, grouping: Grouping) -> np.ndarray | None:
    """Return the group of each training row that a calibration's folds keep whole, int64 (m,); None: each its own.

    They are those of the stack's own folds, but recordings with several rows where these keep nothing whole.
    """
    unit = inner_unit(by, split, grouping)
    if unit == "row":
        unit = "track" if grouping.windowed else "row"
    return None if unit == "row" else grouping.groups(unit)[split.training]


def _sides(folds: Folds, unit: str) -> tuple[np.ndarray, np.ndarray]:
    training, test = folds[0]
    if not len(test):
        raise TableError(f"no {unit} falls to the side that is held out; add {UNITS[unit]}")
    return training, test


SPLITS: Mapping[str, Splitter] = MappingProxyType(
    {
        "random": random_split,
        "track": track_split,
        "artist": artist_split,
        "collection": collection_split,
        "none": no_split,
    }
)


def grouped_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int, units: str = "groups") -> Folds:
    """Split rows into folds that share no group, each class in shares as equal as whole groups allow.

    Args:
        labels: shape (n,).
        groups: number of each row's group, int, shape (n,).
        folds: how many, at least 2.
        seed: makes the draw repeatable.
        units: what messages call the groups.

    Raises:
        TableError: there are fewer groups than folds, or a class comes from so few that a fold's fit would not see it.

    """
    in_all = len(np.unique(groups))
    if in_all < folds:
        raise TableError(
            f"{folds} folds need at least {folds} {units}, and there are {in_all}; add some, or lower folds"
        )
    most = int(np.unique(labels, return_counts=True)[1].max())
    if most < folds:
        raise TableError(f"{folds} folds need a class with as many rows, and none has more than {most}; add rows")
    alone = in_all == len(labels)
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    cut = kind(folds, shuffle=True, random_state=seed).split(labels, labels, None if alone else groups)
    with warnings.catch_warnings():
        # What matters of it is asked below: whether a fold's fit sees every class.
        warnings.filterwarnings("ignore", "The least populated class in y has only", UserWarning)
        sides = [(np.asarray(training), np.asarray(test)) for training, test in cut]
    for training, _ in sides:
        _refuse_lost_classes(labels, groups, training, units)
    return sides


def _refuse_lost_classes(labels: np.ndarray, groups: np.ndarray, training: np.ndarray, units: str) -> None:
    lost = np.setdiff1d(labels, labels[training])
    if len(lost):
        counted = [f"{quoted(label)} ({len(np.unique(groups[labels == label]))})" for label in lost[:_NAMED].tolist()]
        more = f" and {len(lost) - _NAMED} more classes" if len(lost) > _NAMED else ""
        raise TableError(
            f"with {units} kept whole, a fold leaves nothing to fit of: {', '.join(counted)} {units}{more}. Add "
            f"{units} of that class, or leave it out"
        )
