"""Tables as people have them, read by `genrestack predict`: what training reads, and the same numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
from support.memory import memory
from support.samples.tables import FEATURES, LABELS, PACK, WAYS

from genrestack.cli.tables.columns import batches, match_columns
from genrestack.cli.tables.table import is_table, open_table
from genrestack.cli.tables.table_error import TableError

NAMES = ("alpha", "beta", "gamma", "tempo")
MIB = 2**20


def read(path: Path, rows: int = 5) -> tuple[np.ndarray, list[str]]:
    with open_table(path, rows) as table:
        found = list(batches(table, match_columns(table, NAMES, "label")))
    return np.concatenate([batch.rows for batch in found]), [label for batch in found for label in batch.truths]


@pytest.mark.parametrize(("name", "content"), WAYS.values(), ids=WAYS.keys())
def test_every_way_to_write_a_table_is_the_same_table(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert is_table(path)
    rows, labels = read(path)
    np.testing.assert_array_equal(rows, FEATURES)
    assert labels == LABELS


@pytest.mark.parametrize(
    "form", ["[{}]", "array([{}])", "array([{}], dtype=float32)", "np.float64({})", "[np.float64({})]"]
)
def test_a_tempo_as_numpy_prints_it(tmp_path: Path, form: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'alpha,beta,gamma,tempo\n1,2,3,"{form.format(89.5)}"\n')
    assert read(path)[0].tolist() == [[1, 2, 3, 89.5]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0,5;1;2;3\n0,5;1;2;3.5\n", "line 2, column 'alpha': '0,5' is not a number; numbers of this table"),
        ("1;1;2;3\n" * 300 + "0,5;1;2;3\n", "line 302, column 'alpha': '0,5' is not a number; numbers of"),
        ("0,5;1;2;3\n" * 300 + "0.5;1;2;3\n", "line 302, column 'alpha': '0.5' is not a number; numbers of this table"),
        ("12,304;1;2;3\n", "line 2, column 'alpha': '12,304' is not a number"),
        ("1;2;3\n", "line 2: 3 cells, but the header has 4; check the semicolons"),
        ("1;;3;4\n", "line 2, column 'beta' is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_rightly_is_told(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("alpha;beta;gamma;tempo\n" + content)
    with pytest.raises(TableError, match=message):
        read(path)


def test_columns_that_are_not_read_do_not_say_what_a_comma_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("day;alpha;beta;gamma;tempo\n01.02;0,5;1;2;3\n")
    with open_table(path, 5, NAMES) as table:
        assert table.decimal == ","
        (batch,) = batches(table, match_columns(table, NAMES, "label"))
    assert batch.rows.tolist() == [[0.5, 1, 2, 3]]


def test_labels_lose_the_blanks_around_them_as_in_training(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('alpha,beta,gamma,tempo,label\n1,2,3,4, "rock "\n')
    assert read(path)[1] == ["rock"]


def test_lines_of_blanks_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("  \n\nalpha,beta,gamma,tempo\n   \n1,2,3,4\n\n \t \n,,,\n5,6,7,8\n  \n")
    assert read(path)[0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_true_and_false_are_numbers_as_in_training(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("alpha,beta,gamma,tempo\nTrue,FALSE,true,1\n")
    assert read(path)[0].tolist() == [[1, 0, 1, 1]]


def test_a_quote_without_an_end_swallows_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('alpha,beta,gamma,tempo,label\n1,2,3,4,"two\nlines"\n1,2,3,4,5" x\n1,2,3,4,"x\n1,2,3,4,y\n')
    with pytest.raises(TableError, match="line 5: a quote that begins there has no end"):
        read(path)


def test_lines_are_counted_from_the_files_first(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("# mine\r\n\r\nalpha,beta,gamma,tempo\r\n1,2,3,4\r\n\r\n1,2,x,4\r\n")
    with pytest.raises(TableError, match="line 6, column 'gamma': 'x' is not a number"):
        read(path)


@pytest.mark.parametrize("ending", PACK)
def test_a_bomb_is_given_up_while_it_is_unpacked(tmp_path: Path, ending: str) -> None:
    """One row of 2 GiB in a few KB."""
    path = tmp_path / f"t.csv{ending}"
    content = b"alpha,beta,gamma,tempo\n1,2,3,4\n" + b"1" * (256 * MIB)
    path.write_bytes(PACK[ending](content))
    with memory(400 * MIB), pytest.raises(TableError, match=r"t.csv.*a row of more than 16,777,216 characters"):
        read(path)


def test_a_packed_table_is_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.xz"
    path.write_bytes(PACK[".xz"](b"alpha,beta,gamma,tempo\n" + b"1,2,3,4\n" * 100_000))
    with open_table(path, 1000) as table:
        chunks = [(chunk.position, len(chunk.rows)) for chunk in table.chunks]
        assert len(chunks) == math.ceil(100_000 / 1000)
        assert chunks[-1][0] <= table.size


def test_what_is_no_table_is_told_what_is() -> None:
    with pytest.raises(TableError, match=r"name one that ends in \.csv, \.tsv or \.txt"), open_table(Path("t.xlsx"), 1):
        pass
