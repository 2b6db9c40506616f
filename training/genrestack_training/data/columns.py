"""One column → an array, or an error that names the column and its first bad row.

Texts are looked at once for each value that a column has and not once a row: a Parquet file of a few KB may repeat one
long text a billion times.
"""

import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from genrestack_common.tables.numbers import advice, plain_number
from genrestack_common.text import listed, quoted
from genrestack_training.data.limits import check_fits
from genrestack_training.errors import TableError

LONGEST_TEXT: Final = 1000
"""Characters of a label or an identifier."""
_WHOLE = re.compile(r"\s*([+-]?\d+)(?:\.0*)?\s*")
MOST_COLUMNS: Final = 100_000
LONGEST_NAME: Final = 200
"""Characters."""


def numeric_column(column: pd.Series) -> np.ndarray:
    """Convert a column to float64, shape (n,), without NaN. `[89.1]` counts as 89.1, true as 1 and false as 0.

    Raises:
        TableError: a value is not a number; the message names the column and its first such row.

    """
    if pd.api.types.is_bool_dtype(column) or (pd.api.types.is_numeric_dtype(column) and column.dtype.kind in "iuf"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    codes, values = _distinct(column)
    decimal = column.attrs.get("decimal", ".")
    plain = pd.Series([_plain(value, decimal) for value in values], dtype=object)
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.append(np.isnan(numbers), False)[codes])
    if len(bad):
        cell = column.iloc[bad[0]]
        raise TableError(
            f"column {column.name!r} is not numeric: data row {bad[0] + 1} holds {reprlib.repr(cell)}"
            f"{advice(str(cell), decimal)}"
        )
    # The last is for rows with nothing in them, whose code is -1.
    return np.asarray(np.append(numbers, np.nan)[codes])


def label_texts(column: pd.Series) -> np.ndarray:
    """Convert a label column to texts, shape (n,), without blanks around them; whole numbers become digits: `1.0` `1`.

    Raises:
        TableError: a label is missing, too long or a fraction; the message names the rows.

    """
    codes, values = _distinct(column)
    texts = [_text(value).strip() for value in values]
    missing = np.flatnonzero(np.array([*(not text for text in texts), True])[codes])
    if len(missing):
        raise TableError(f"column {column.name!r} has no label in {rows_named(missing)}; label them or remove the rows")
    _check_lengths(column.name, texts, codes)
    wholes = [_WHOLE.fullmatch(text) for text in texts]
    if all(wholes):
        texts = [found[1] for found in wholes if found]
        return np.asarray(np.array(texts)[codes])
    _refuse_fractions(column.name, texts, codes)
    return np.asarray(np.array(texts)[codes])


def padded_labels(column: pd.Series) -> int:
    """Count the rows whose labels have blanks around them."""
    codes, values = _distinct(column)
    return int(np.array([*(_text(value) != _text(value).strip() for value in values), False])[codes].sum())


def identifier_column(column: pd.Series) -> np.ndarray:
    """Convert an identifier column to int64 or float64 if it is numeric, else to texts; shape (n,).

    Raises:
        TableError: a text is too long.

    """
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    codes, values = _distinct(column)
    texts = [*(str(value) for value in values), ""]
    _check_lengths(column.name, texts, codes)
    return np.asarray(np.array(texts)[codes])


def _distinct(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Return the code of each row's value, -1 where there is none, and the distinct values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.codes.to_numpy().astype(np.int64), list(column.cat.categories)
    codes, values = pd.factorize(column)
    return np.asarray(codes, dtype=np.int64), list(values)


def _plain(value: Any, decimal: str) -> Any:
    """Remove what NumPy prints around a single number; what is not a number becomes text."""
    if isinstance(value, Real | Decimal | np.bool_):
        return value
    return plain_number(str(value), decimal)


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _check_lengths(name: Any, texts: list[str], codes: np.ndarray) -> None:
    """Reject a text for whose length an array would make room in every row."""
    longest = max(range(len(texts)), key=lambda i: len(texts[i]))
    length, row = len(texts[longest]), int(np.argmax(codes == longest)) + 1
    if length > LONGEST_TEXT:
        raise TableError(
            f"column {name!r} holds {length:,} characters in data row {row} ({quoted(texts[longest])}), at "
            f"most {LONGEST_TEXT:,} are allowed; shorten it, or name the right column"
        )
    check_fits(
        f"column {name!r} has {len(codes):,} texts of up to {length:,} characters (data row {row})",
        4 * length * len(codes),
        "shorten them",
    )


def _refuse_fractions(name: Any, texts: list[str], codes: np.ndarray) -> None:
    """Reject a column of measurements given as the label by mistake."""
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce")
    fractions = np.flatnonzero((numbers % 1 != 0).to_numpy()[codes])
    if len(fractions) and numbers.notna().all():
        row = int(fractions[0])
        raise TableError(
            f"column {name!r} holds fractions (data row {row + 1}: {texts[codes[row]]}); labels are text or whole "
            "numbers. Name another label column with --label"
        )


def rows_named(indices: Iterable[int]) -> str:
    """Return `data row 1` or `data rows 1, 2, 3` for row numbers that count from 0; the header is not a data row."""
    numbers = [int(index) + 1 for index in indices]
    return f"data row{'s' * (len(numbers) > 1)} {listed(numbers, 5)}"


def places_of(features: np.ndarray, faulty: np.ndarray, names: Sequence[str], most: int = 5) -> str:
    """Name the faulty columns, each with its rows and what is in them."""
    columns = np.flatnonzero(faulty.any(axis=0))
    places = []
    for column in columns[:most]:
        rows = np.flatnonzero(faulty[:, column])
        found = {"NaN or nothing": np.isnan(features[rows, column]), "Inf": np.isinf(features[rows, column])}
        kinds = " and ".join(kind for kind, where in found.items() if where.any())
        places.append(f"column {names[column]!r} {rows_named(rows)} ({kinds})")
    more = f"; and {len(columns) - most} more columns" if len(columns) > most else ""
    return "; ".join(places) + more


def check_names(path: Path, names: Sequence[str]) -> None:
    """Reject names that nobody means, and more of them than a model has.

    Raises:
        TableError: there are too many columns, or a name is too long, has control characters, or comes twice.

    """
    if len(names) > MOST_COLUMNS:
        raise TableError(
            f"{path} has {len(names):,} columns, at most {MOST_COLUMNS:,} can be trained on; leave "
            "columns out, or turn the table if its rows are features"
        )
    for place, name in enumerate(names, start=1):
        if len(name) > LONGEST_NAME:
            raise TableError(
                f"{path}: the name of column {place} has {len(name):,} characters ({quoted(name)}), at most "
                f"{LONGEST_NAME} are allowed; shorten it"
            )
        if not name.isprintable() and name.strip():
            raise TableError(f"{path}: the name of column {place} has control characters ({quoted(name)}); rename it")
    _refuse_duplicates(path, names)


def _refuse_duplicates(path: Path, names: Sequence[str]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if double:
        places = listed((i + 1 for i, name in enumerate(names) if name == double[0]), 5)
        raise TableError(f"{path}: duplicate column name {double[0]!r} (columns {places}); rename or remove one")
