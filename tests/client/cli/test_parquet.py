"""Parquet tables for `genrestack predict`: a few KB on disk that would be gigabytes in memory are refused by column."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genrestack.cli.tables.table import open_table
from genrestack.cli.tables.table_error import TableError

ROWS = 300_000


def write(path: Path, column: pa.Array) -> Path:
    table = path / "t.parquet"
    pq.write_table(pa.table({"tempo": pa.nulls(len(column), pa.float64()), "odd": column}), table)
    return table


def repeated(value: pa.Scalar, count: int = ROWS) -> pa.Array:
    """One value in many rows, kept once."""
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([value.as_py()]))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (repeated(pa.scalar("a" * 100_000)), "holds a text of more than"),
        (repeated(pa.scalar(b"a" * 100_000)), "holds a text of more than"),
        (pa.array([[0.0] * 5_000_000]), "lists of several values"),
        (pa.array([{"a": 1.0}]), "struct"),
        (pa.array([[[1.0]]]), "list"),
        (pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float64())), "map"),
    ],
    ids=["texts", "bytes", "list", "struct", "lists of lists", "map"],
)
def test_what_is_not_one_short_value_a_row_is_refused(tmp_path: Path, column: pa.Array, said: str) -> None:
    path = write(tmp_path, column)
    with pytest.raises(TableError, match=said) as caught, open_table(path, ROWS) as table:
        list(table.chunks)
    assert "column 'odd'" in str(caught.value)
    assert str(path) in str(caught.value)


def test_single_values_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, pa.array([[1.5], [2.5]]))
    with open_table(path, 1) as table:
        assert table.header == ["tempo", "odd"]
        assert [chunk.rows for chunk in table.chunks] == [[[None, [1.5]]], [[None, [2.5]]]]


@pytest.mark.parametrize("cut", [0, 4, 30, -4])
def test_a_damaged_file_is_named(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, pa.array(["a", "b"]))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TableError, match="not a parquet file, or a damaged one"), open_table(path, 10) as table:
        list(table.chunks)
