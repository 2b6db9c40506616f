"""Sizes at which work that grows with the square of the input would take hours: the suite's timeout is the judge."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from client.liar import described

from genrestack import InvalidInput, ModelInfo
from genrestack._core.inputs.cells import check_finite
from genrestack._core.inputs.rows import to_rows
from genrestack.cli.songs.timeline import letters
from genrestack.cli.tables.columns import match_columns
from genrestack.cli.tables.table import InputTable, open_table
from genrestack.cli.tables.table_error import TableError
from genrestack.model_info import FeatureInfo
from genrestack.songs.aggregate import check_model

MANY = [f"name {number}" for number in range(200_000)]


def table(header: list[str]) -> InputTable:
    return InputTable(Path("t.csv"), header, 0, iter(()))


def test_many_columns_and_features() -> None:
    found = match_columns(table([*reversed(MANY), "label", "filename"]), MANY, "label")
    assert found.features == list(reversed(range(len(MANY))))
    assert (found.label, found.identifier, found.ignored) == (len(MANY), len(MANY) + 1, [])
    assert len(match_columns(table(MANY), [], "label").ignored) == len(MANY)
    with pytest.raises(TableError, match=r"lacks 199,?999 of the 200,?000 features"):
        match_columns(table(MANY[:1]), MANY, "label")
    with pytest.raises(TableError, match="the column 'name 0' twice"):
        match_columns(table(MANY * 2), MANY, "label")


def test_many_names_that_another_row_has_not() -> None:
    with pytest.raises(InvalidInput, match=r"rows\[1\] has 'other 0', .* and 199995 more, which row 0 has not"):
        to_rows([dict.fromkeys(MANY, 1), dict.fromkeys([*MANY, *(f"other {n}" for n in range(200_000))], 1)])


def test_many_features_that_no_recording_has() -> None:
    info = replace(ModelInfo.from_message(described()), features=tuple(FeatureInfo(name, None, None) for name in MANY))
    with pytest.raises(InvalidInput, match="200000 of its 200000 features"):
        check_model(info, [f"other {number}" for number in range(200_000)])


def test_many_classes_have_letters() -> None:
    given = letters(MANY)
    assert len({letter for letter in given.values() if letter.isalnum()}) == 62


def test_many_cells_that_are_no_numbers() -> None:
    matrix = np.full((2000, 2000), np.nan, dtype=np.float32)
    with pytest.raises(InvalidInput, match=r"rows\[0\]\[0\]: .* \(and 3999999 more\)") as caught:
        check_finite(matrix, matrix, ())
    assert len(caught.value.violations) == 10


CELL = "x" * 60


@pytest.mark.parametrize("row", [f"{CELL}," * 300_000, f'"{CELL}\n",' * 300_000], ids=["cells", "cells of two lines"])
@pytest.mark.parametrize("head", ["", "a,b\n"], ids=["as header", "as row"])
def test_a_row_without_end(tmp_path: Path, row: str, head: str) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress((head + row).encode(), 1))
    with (
        pytest.raises(TableError, match=r"a row of more than 16,777,216 characters|a first line of more than 16 MiB"),
        open_table(path, 256) as opened,
    ):
        list(opened.chunks)


def test_names_and_cells_of_megabytes_are_quoted_short() -> None:
    long = "x" * 5_000_000
    for rows in ([{"a": long}], [{"a": 10**5000}], [{long: "x"}], [{"a": 1}, {long: 1}], {long: [1], "b": 1}):
        with pytest.raises(InvalidInput) as caught:
            to_rows(rows)
        assert len(str(caught.value)) < 300
