"""Tables as people have them, read by training: the same rows from all of them."""

import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.memory import memory
from support.samples.tables import FEATURES, FRAME, LABELS, PACK, WAYS, csv, zipped

from genrestack_training import TableError, load_table, read_groups

Write = Callable[..., Path]
MIB = 2**20


@pytest.mark.parametrize(("name", "content"), WAYS.values(), ids=WAYS.keys())
def test_every_way_to_write_a_table_is_the_same_table(write: Write, name: str, content: bytes) -> None:
    table = load_table(write(content, name))
    assert table.feature_names == ("alpha", "beta", "gamma", "tempo")
    np.testing.assert_array_equal(table.features, FEATURES)
    assert table.labels is not None
    assert table.labels.tolist() == LABELS


def test_every_double_with_a_decimal_comma_is_read_exactly(write: Write) -> None:
    values = np.random.default_rng(0).normal(size=500) * 10.0 ** np.random.default_rng(1).integers(-200, 200, 500)
    frame = pd.DataFrame({"a": values, "b": 0.5, "label": "x"})
    table = load_table(write(frame.to_csv(sep=";", decimal=",", index=False)))
    np.testing.assert_array_equal(table.features[:, 0], values)


def test_a_pq_file(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "t.pq")
    np.testing.assert_array_equal(load_table(tmp_path / "t.pq").features, FEATURES)


def test_lines_of_blanks_are_no_rows(write: Write) -> None:
    table = load_table(write("  \n\na,b,label\n   \n1,2,x\n\n \t \n3,4,y\n  \n"))
    assert table.features.tolist() == [[1, 2], [3, 4]]


def test_blank_rows_are_left_out_with_a_note(write: Write) -> None:
    table = load_table(write("a,b,label\n1,2,x\n,,\n3,4,y\n , ,\n"))
    assert table.features.tolist() == [[1, 2], [3, 4]]
    assert table.notes == ("data rows 2, 4 hold nothing: left out",)


@pytest.mark.parametrize(
    "form", ["[{}]", "array([{}])", "array([{}], dtype=float32)", "np.float64({})", "[np.float64({})]"]
)
def test_a_tempo_as_numpy_prints_it(write: Write, form: str) -> None:
    frame = FRAME.assign(tempo=[form.format(v) for v in FRAME["tempo"].tolist()])
    np.testing.assert_array_equal(load_table(write(frame.to_csv(index=False))).features, FEATURES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b;label\n0,5;1.5;x\n0,7;2.5;y\n", "column 'a' is not numeric: data row 1 holds '0,5'; numbers of this"),
        ("a;b;label\n0,5;1;x\n0,7;1.234;y\n", "column 'a' is not numeric: data row 1 holds '0,5'; numbers of this"),
        ("a;b;label\n0,5;1.234,5;x\n", "column 'b' is not numeric: data row 1 holds '1.234,5'"),
        ('a,label\n"12,304.69",x\n', "column 'a' is not numeric: data row 1 holds '12,304.69'; numbers of this"),
        ('a,b,label\n"12,304",1,x\n', "data row 1 holds '12,304'; numbers of this table are read with decimal points"),
        ("a;label\n" + "1;x\n" * 300 + "0,5;x\n", "data row 301 holds '0,5'; numbers of this table are read"),
        ("a;label\n0,5;x\n" + "1;x\n" * 300 + "1.5;x\n", "data row 302 holds '1.5'; .* decimal commas"),
        ("a,b,label\n1,2,x\n# a remark\n3,4,y\n", "column 'a' is not numeric|no label in data row 2"),
        ("# made here\n\na,b,label\n1,2,x\n1,2,x,3\n", "line 5 has 4 values where the header has 3"),
        ("c,c,label\nmean,var,\n0.1,0.2,x\n", "has a header of 2 lines"),
        ("0.1,0.2,x\n0.3,0.4,y\n", "no label column .* are 0.1, 0.2, x. If these are values, write names above"),
        ("a,label\n(89.1),x\n", r"data row 1 holds '\(89.1\)'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_rightly_is_told(write: Write, content: str, message: str) -> None:
    path = write(content)
    with pytest.raises(TableError, match=message) as caught:
        load_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_columns_that_are_no_features_do_not_say_what_a_comma_is(write: Write) -> None:
    path = write("length;a;day;label\n661.794;0,5;01.02;x\n661.795;0,7;03.04;y\n")
    with pytest.raises(TableError, match="column 'a' is not numeric: data row 1 holds '0,5'"):
        load_table(path)
    assert load_table(path, drop=["day"]).features.tolist() == [[0.5], [0.7]]


def test_a_label_for_a_name_is_no_header(write: Write) -> None:
    with pytest.raises(TableError, match="has no header: its first line holds values"):
        load_table(write("1,2,rock\n3,4,pop\n5,6,rock\n"), label="rock")
    with pytest.raises(TableError, match="there is no header: its first line holds the label 'rock'"):
        load_table(write("1,2,rock\n" + "3,4,pop\n" * 300 + "5,6,rock\n"), label="rock")


def test_numpys_points_among_decimal_commas(write: Write) -> None:
    frame = FRAME.assign(tempo=[f"[{v}]" for v in FRAME["tempo"].tolist()])
    np.testing.assert_array_equal(load_table(write(frame.to_csv(sep=";", decimal=",", index=False))).features, FEATURES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv.bz2", b"a,label\n1,x\n", "is not a whole bzip2 file"),
        ("t.csv.xz", lzma.compress(b"a,label\n1,x\n" * 50)[:-9], "is not a whole xz file"),
        ("t.zip", zipped({"a.csv": b"", "b.csv": b""}), "holds 2 tables: 'a.csv', 'b.csv'; pack one table"),
        ("t.zip", zipped({"song.wav": b""}), "holds no table"),
        ("t.csv", csv().encode("utf-16")[:-1], "is not text in UTF-16"),
        ("t.csv", csv().encode("latin-1"), "is not text in UTF-8"),
        ("t.csv", ("# " + "ö" * 500 + "\n" + csv()).encode("latin-1", "replace"), "is not text in UTF-8, before its"),
    ],
)
def test_files_that_are_not_what_they_are_called(write: Write, name: str, content: bytes, message: str) -> None:
    path = write(content, name)
    with pytest.raises(TableError, match=message) as caught:
        load_table(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "content",
    [
        "filename;group\na.wav;x\nb.wav;y\n",
        "sep=;\nfilename;artist\na.wav;x\nb.wav;y\n",
        "# mine\nfilename, group\na.wav, x\nb.wav, y\n",
        "filename|group\na.wav|x\nb.wav|y\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_groups_files_are_read_likewise(write: Write, content: str, encoding: str) -> None:
    assert read_groups(write(content.encode(encoding))) == {"a.wav": "x", "b.wav": "y"}


@pytest.mark.parametrize("ending", PACK)
def test_a_bomb_is_given_up_while_it_is_unpacked(write: Write, ending: str) -> None:
    """A table of many short rows, and one of one long line, that are far smaller packed than in memory."""
    rows = write(PACK[ending](b"a,label\n" + b"1,x\n" * (8 * MIB)), f"rows.csv{ending}")
    line = write(PACK[ending](b"a,label\n1," + b"x" * (20 * MIB)), f"line.csv{ending}")
    with memory(400 * MIB):
        with pytest.raises(
            TableError, match=r"has at least .* lines of 2 columns .* are free; leave rows or columns out"
        ):
            load_table(rows)
        with pytest.raises(TableError, match="a line is longer than 16 MiB, after 1 line ends"):
            load_table(line)
