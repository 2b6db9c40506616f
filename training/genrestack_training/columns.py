"""One column → an array, or an error that names the column and its first bad row."""

import re
import reprlib
from decimal import Decimal
from numbers import Real
from typing import Any, Final

import numpy as np
import pandas as pd

from genrestack_training.errors import TableError
from genrestack_training.memory import check_fits
from genrestack_training.wording import rows_named, shown

LONGEST_TEXT: Final = 1000
"""Characters of a label or an identifier."""

_BRACKETED = re.compile(r"\s*\[\s*([^\[\],\s]+)\s*+,?+\s*+\]\s*")
_WHOLE = re.compile(r"\s*([+-]?\d+)(?:\.0*)?\s*")


def numeric_column(column: pd.Series) -> np.ndarray:
    """Give a column as float64, shape (n,); nothing is NaN. `[89.1]` counts as 89.1, true as 1 and false as 0.

    Raises:
        TableError: a value is no number; the message names the column and its first such row.

    """
    if pd.api.types.is_bool_dtype(column) or (pd.api.types.is_numeric_dtype(column) and column.dtype.kind in "iuf"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if column.dtype.kind in "mM":
        # Not one object a row, to say the same of each.
        raise _not_numeric(column, 0)
    plain = column.astype(object).map(_unwrapped, na_action="ignore")
    numbers = pd.to_numeric(plain, errors="coerce")
    bad = np.flatnonzero(numbers.isna() & plain.notna())
    if len(bad) or numbers.dtype.kind not in "iufb":
        raise _not_numeric(column, int(bad[0]) if len(bad) else 0)
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _not_numeric(column: pd.Series, row: int) -> TableError:
    return TableError(
        f"column {column.name!r} is not numeric: data row {row + 1} holds {reprlib.repr(column.iloc[row])}. Correct "
        "it, remove the column, or name it as the label if it is the label",
    )


def label_texts(column: pd.Series) -> np.ndarray:
    """Give a label column as texts, shape (n,): text as it stands, whole numbers as their digits, `1.0` as `1`.

    Raises:
        TableError: a label is missing, too long or a fraction; the message names the rows.

    """
    missing = np.flatnonzero(column.isna() | (column.astype(object).map(str).str.strip() == ""))
    if len(missing):
        raise TableError(f"column {column.name!r} has no label in {rows_named(missing)}; label them or remove the rows")
    texts = [_text(value) for value in column.astype(object)]
    _check_lengths(column.name, texts)
    wholes = [_WHOLE.fullmatch(text) for text in texts]
    if all(wholes):
        return np.array([found[1] for found in wholes if found])
    _refuse_fractions(column.name, texts)
    return np.array(texts)


def plain_column(column: pd.Series) -> np.ndarray:
    """Give an identifier column as int64 or float64 if it is numeric, else as texts; shape (n,).

    Raises:
        TableError: a text is too long.

    """
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    texts = ["" if pd.isna(value) else str(value) for value in column.astype(object)]
    _check_lengths(column.name, texts)
    return np.array(texts)


def _unwrapped(value: Any) -> Any:
    """Take a single number out of its brackets, written out or as a list of one; what is no number becomes text."""
    if isinstance(value, list | tuple | np.ndarray) and np.size(value) == 1:
        value = np.asarray(value).item()
    if isinstance(value, Real | Decimal | np.bool_):
        return value
    found = _BRACKETED.fullmatch(str(value))
    return found[1] if found else str(value)


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _check_lengths(name: Any, texts: list[str]) -> None:
    """Refuse a text for whose length an array would make room in every row."""
    row = max(range(len(texts)), key=lambda i: len(texts[i]))
    longest = len(texts[row])
    if longest > LONGEST_TEXT:
        raise TableError(
            f"column {name!r} holds {longest:,} characters in data row {row + 1} ({shown(texts[row])}), and "
            f"{LONGEST_TEXT:,} are the most; shorten it, or name the right column"
        )
    check_fits(
        f"column {name!r} has {len(texts):,} texts of up to {longest:,} characters (data row {row + 1})",
        4 * longest * len(texts),
        "shorten them",
    )


def _refuse_fractions(name: Any, texts: list[str]) -> None:
    """Refuse a column of measurements given as the label by mistake."""
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce")
    fractions = np.flatnonzero(numbers % 1 != 0)
    if len(fractions) and numbers.notna().all():
        row = int(fractions[0])
        raise TableError(
            f"column {name!r} holds fractions (data row {row + 1}: {texts[row]}); labels are text or whole numbers. "
            "Name another label column with --label"
        )
