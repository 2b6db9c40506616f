"""The column of a table that says what computed its features."""

from typing import Final

import numpy as np
import pandas as pd

from genrestack_common.extractors import COLUMN, Extractor
from genrestack_training.data.columns import rows_named
from genrestack_training.errors import TableError

_PRETRAINED: Final = (
    "the features are answers of a pre-trained tagger, which very likely knows some of these artists: no split keeps "
    "apart what it was trained on"
)

_PRETRAINED_SERVED: Final = (
    "warning: the features are answers of a pre-trained tagger: where it was trained on these artists, the metrics "
    "flatter the model"
)


def without_extractor(frame: pd.DataFrame, kept: set[str]) -> tuple[pd.DataFrame, Extractor | None]:
    """Remove the column that says what computed the features; None where the table does not say it.

    A column of that name that says something else is like any other.

    Args:
        frame: the table.
        kept: columns that are something else by choice.

    Raises:
        TableError: the rows were computed by several.

    """
    if COLUMN not in frame.columns or COLUMN in kept or pd.api.types.is_numeric_dtype(frame[COLUMN]):
        return frame, None
    codes, distinct = pd.factorize(frame[COLUMN], use_na_sentinel=False)
    extractors = [_parsed(str(text)) for text in distinct]
    if not any(extractors):
        return frame, None
    if len(distinct) > 1:
        other = int(np.argmax(codes != codes[0]))
        raise TableError(
            f"column {COLUMN!r} has {len(distinct)} values ({rows_named([other])} is the first to differ): features of "
            "different taggers are not the same features; build the table with one"
        )
    return frame.drop(columns=COLUMN), extractors[0]


def extractor_warnings(extractor: Extractor | None) -> list[str]:
    """Return what makes metrics of a table doubtful whose features a pre-trained network computed."""
    return [] if extractor is None else [_PRETRAINED]


def served_extractor_warnings(extractor: Extractor | None) -> list[str]:
    """Return the same of a served model's metrics on a collection, which no split was made of."""
    return [] if extractor is None else [_PRETRAINED_SERVED]


def _parsed(text: str) -> Extractor | None:
    try:
        return Extractor.parse(text)
    except ValueError:
        return None
