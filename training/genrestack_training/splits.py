"""Which rows are fitted and which are held back: one function per split.

To add a split, write its function, and name it in `SPLITS` and in `settings.SPLIT_NAMES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from sklearn.model_selection import train_test_split

from genrestack_training.errors import SettingsError, TableError
from genrestack_training.table import Table


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


def make_split(name: str, table: Table, *, test_share: float, seed: int) -> Split:
    """Split a labelled table.

    Args:
        name: a key of `SPLITS`.
        table: rows with labels.
        test_share: share of the rows to hold back, between 0 and 1.
        seed: makes the draw repeatable.

    Raises:
        SettingsError: there is no such split.
        TableError: the table has too few rows for it.

    """
    try:
        split = SPLITS[name]
    except KeyError:
        raise SettingsError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}") from None
    return split(table, test_share, seed)


def random_split(table: Table, test_share: float, seed: int) -> Split:
    """Hold back rows at random, the classes in equal shares on both sides, as the notebook does."""
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
        f"{len(test)} of {len(rows)} rows, drawn at random with the classes in equal shares, were held back from the "
        f"fit, and every figure is measured on them alone. {_caution(table)}"
    )
    return Split("random", training, test, meaning)


def _caution(table: Table) -> str:
    """Say what a random split cannot show."""
    if "filename" in table.identifiers:
        return (
            "Where several rows were cut from one recording, they stand on both sides, and the figures measure how "
            "well recordings are recognised, not how well genres of unheard recordings are."
        )
    return "Where several rows come from one source, they stand on both sides, and the figures flatter the model."


def no_split(table: Table, test_share: float, seed: int) -> Split:  # noqa: ARG001 - one signature for all splits
    """Fit on every row and hold back none.

    The rows are shuffled, so that the stack's folds are drawn as after a random split and not in the table's order.
    """
    rows = np.random.default_rng(seed).permutation(len(table.features))
    meaning = (
        f"All {len(rows)} rows were fitted and none was held back, so there are no figures of how good the model is. "
        "Train with a random split to get figures."
    )
    return Split("none", rows, rows[:0], meaning)


SPLITS: Mapping[str, Callable[[Table, float, int], Split]] = MappingProxyType(
    {"random": random_split, "none": no_split}
)
