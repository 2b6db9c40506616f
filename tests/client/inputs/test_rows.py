"""Whatever people have as rows becomes the same matrix, or an error that names the culprit."""

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genrestack import InvalidInput
from genrestack._core.inputs.rows import to_rows

ROWS = np.array([[1.5, -2.0, 3.0], [4.0, 5.0, 6.25]])
NAMES = ("a", "b", "c")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "longdouble", "i1", "u8", "?"])
def test_any_numeric_dtype(dtype: str) -> None:
    array = ROWS.astype(dtype)
    rows = to_rows(array)
    assert rows.matrix.dtype == np.float32
    assert rows.names == ()
    np.testing.assert_array_equal(rows.matrix, array.astype(np.float32))


@pytest.mark.parametrize(
    "given_rows",
    [
        ROWS.tolist(),
        tuple(map(tuple, ROWS.tolist())),
        list(ROWS),
        np.asfortranarray(ROWS),
        ROWS.astype(object),
        np.ma.masked_array(ROWS),
        [[1.5, Decimal(-2), 3], [np.int8(4), np.float64(5), 6.25]],
        (row for row in ROWS.tolist()),
    ],
)
def test_rows_without_names(given_rows: Any) -> None:
    rows = to_rows(given_rows)
    np.testing.assert_array_equal(rows.matrix, ROWS.astype(np.float32))
    assert rows.names == ()
    assert rows.matrix.flags.c_contiguous


@pytest.mark.parametrize(
    "given_rows",
    [
        pd.DataFrame(ROWS, columns=list(NAMES)),
        pd.DataFrame({"a": [1.5, 4], "b": [-2, 5], "c": pd.array([3, 6.25], dtype="Float64")}),
        {"a": [1.5, 4.0], "b": np.array([-2, 5]), "c": pd.Series([3, 6.25])},
        [dict(zip(NAMES, row, strict=True)) for row in ROWS.tolist()],
        [{"a": 1.5, "b": -2.0, "c": 3.0}, {"c": 6.25, "b": 5, "a": 4}],
    ],
)
def test_rows_with_names(given_rows: Any) -> None:
    rows = to_rows(given_rows)
    assert rows.names == NAMES
    np.testing.assert_array_equal(rows.matrix, ROWS.astype(np.float32))


def test_a_dict_of_numbers_is_one_row() -> None:
    rows = to_rows({"a": 1, "b": np.float32(2)})
    assert rows.names == ("a", "b")
    np.testing.assert_array_equal(rows.matrix, [[1, 2]])


def test_a_frame_whose_columns_are_numbers_has_no_names() -> None:
    assert to_rows(pd.DataFrame(ROWS)).names == ()


@given(hnp.arrays(np.float64, (3, 2), elements=st.floats(width=64)))
def test_what_float32_holds_passes_and_nothing_else(array: npt.NDArray[np.float64]) -> None:
    with np.errstate(over="ignore"):
        expected = array.astype(np.float32)
    if np.isfinite(expected).all():
        np.testing.assert_array_equal(to_rows(array).matrix, expected)
        return
    row, column = np.argwhere(~np.isfinite(expected))[0]
    with pytest.raises(InvalidInput) as caught:
        to_rows(array)
    assert caught.value.violations[0].field == f"rows[{row}][{column}]"


NAN = float("nan")


@pytest.mark.parametrize(
    ("given_rows", "field", "message"),
    [
        ([[1, 2], [3, NAN]], "rows[1][1]", "column 1 of row 1 is NaN"),
        ({"a": [1, 2], "b": [1, float("inf")]}, "rows[1].b", "feature 'b' of row 1 is infinite"),
        ({"a": [1.0, -1e300]}, "rows[1].a", "feature 'a' of row 1 is -1e.300, which float32 cannot hold"),
        ([[10**400]], "rows[0][0]", "float32 cannot hold"),
        ([[1, "x"]], "rows[0][1]", "column 1 of row 0 is the text 'x'; a number is needed"),
        ([[1, "2.0"]], "rows[0][1]", "is the text '2.0'"),
        (pd.DataFrame({"a": [1.0], "label": ["blues"]}), "rows[0].label", "feature 'label' of row 0 is the text"),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "rows[1].a", "feature 'a' of row 1 is NaN"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), "rows[0].a", "a number is needed"),
        ([[1, None]], "rows[0][1]", "is missing"),
        ([[1 + 2j]], "rows[0][0]", "a number is needed"),
        (np.ma.masked_array([[1, 2]], [[False, True]]), "rows[0][1]", "column 1 of row 0 is NaN"),
        ([[1, 2], [3]], "rows[1]", "has 1 values, but row 0 has 2"),
        ([[1, 2], 3], "rows[1]", "is of type int, not a row"),
        ([[1, 2], {"a": 1}], "rows[1]", "is of type dict, not a row"),
        ([1.0, 2.0], "rows", "flat, with 2 values"),
        (np.arange(5), "rows", "flat, with 5 values"),
        (pd.Series([1.0, 2.0]), "rows", "flat"),
        (np.zeros((2, 2, 2)), "rows", "has 3 dimensions"),
        ([[[1]]], "rows", "has 3 dimensions"),
        (np.float32(1), "rows", "has 0 dimensions"),
        (np.empty((0, 3)), "rows", "at least one row"),
        (np.empty((3, 0)), "rows", "at least one row"),
        ([], "rows", "holds no row"),
        ({}, "rows", "empty dict"),
        ([{}], "rows", "empty dict"),
        (None, "rows", "is None"),
        ("songs.csv", "rows", "of type str"),
        (7, "rows", "of type int"),
        ({"a": 1, "b": [1, 2]}, "rows", "'a' is a single value"),
        ({"a": [1], "b": [1, 2]}, "rows", "ragged: 'a' has 1 values, 'b' has 2"),
        ({1: [1]}, "feature_names", "hold 1; feature names are text"),
        ([{"a": 1, "b": 2}, {"a": 1}], "rows[1]", "lacks 'b'"),
        ([{"a": 1}, {"a": 1, "z": 2}], "rows[1]", "has 'z', which row 0 has not"),
        (pd.DataFrame([[1, 2]], columns=["a", 0]), "feature_names", "mix text and other names, such as 0"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "feature_names[1]", r"duplicate feature name 'a' \(also column 0"),
    ],
)
def test_what_cannot_be_used_is_named(given_rows: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        to_rows(given_rows)
    assert caught.value.violations[0].field == field


def test_many_faults_are_counted_and_the_first_ten_told() -> None:
    with pytest.raises(InvalidInput, match=r"column 0 of row 0 is NaN; .* \(and 14 more\)") as caught:
        to_rows(np.full((5, 3), np.nan))
    assert len(caught.value.violations) == 10
