"""Reading tables: what is taken, and how what is not is named."""

import gzip
import hashlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genrestack_training import TableError, load_table

Write = Callable[..., Path]


def test_bare_layout(write: Write) -> None:
    table = load_table(write("a,b,label\n1,2.5,x\n3,-4e-3,y\n"))
    assert table.feature_names == ("a", "b")
    np.testing.assert_array_equal(table.features, [[1, 2.5], [3, -4e-3]])
    assert table.features.dtype == np.float64
    assert table.features.flags.c_contiguous
    assert table.labels is not None
    assert table.labels.tolist() == ["x", "y"]
    assert not table.identifiers
    assert not table.notes


def test_published_layout_remembers_the_identifiers(write: Write) -> None:
    table = load_table(
        write("filename,length,a,label\nblues.00000.0.wav,66149,1,blues\njazz.00001.0.wav,66149,2,jazz\n")
    )
    assert table.feature_names == ("a",)
    assert table.identifiers["filename"].tolist() == ["blues.00000.0.wav", "jazz.00001.0.wav"]
    assert table.identifiers["length"].tolist() == [66149, 66149]


def test_sha256_is_of_the_files_bytes(write: Write) -> None:
    content = b"a,label\n1,x\n"
    assert load_table(write(content)).sha256 == hashlib.sha256(content).hexdigest()


def test_kinds_of_file_give_the_same_table(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [0.1, 1 / 3, 2e-17], "b": [1, 2, 3], "label": ["x", "y", "x"]})
    paths = [tmp_path / name for name in ("t.csv", "t.csv.gz", "t.parquet")]
    frame.to_csv(paths[0], index=False)
    frame.to_csv(paths[1], index=False)
    frame.to_parquet(paths[2])
    for path in paths:
        table = load_table(path)
        np.testing.assert_array_equal(table.features, frame[["a", "b"]].to_numpy(float))
        assert table.labels is not None
        assert table.labels.tolist() == ["x", "y", "x"]


def test_every_double_is_read_exactly(write: Write) -> None:
    values = np.random.default_rng(0).normal(size=500) * 10.0 ** np.random.default_rng(1).integers(-200, 200, 500)
    lines = "".join(f"{v!r},x\n" for v in values.tolist())
    np.testing.assert_array_equal(load_table(write(f"a,label\n{lines}")).features[:, 0], values)


def test_bracketed_numbers_in_any_column(write: Write, tmp_path: Path) -> None:
    table = load_table(write('tempo,b,label\n[89.1],1,x\n"[ 117.5 ]",[2.],y\n120,-3,y\n'))
    np.testing.assert_array_equal(table.features, [[89.1, 1], [117.5, 2], [120, -3]])
    path = tmp_path / "lists.parquet"
    pd.DataFrame({"tempo": [[89.1], [90.0]], "label": ["x", "y"]}).to_parquet(path)
    np.testing.assert_array_equal(load_table(path).features, [[89.1], [90.0]])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["rock", "pop"], ["rock", "pop"]),
        (["NA", "None"], ["NA", "None"]),
        (["7", "10"], ["7", "10"]),
        (["1.0", "2.0"], ["1", "2"]),
        (["01", "2"], ["01", "2"]),
        (["1.0", "pop"], ["1.0", "pop"]),
        (["True", "False"], ["True", "False"]),
        (["1e3", "2e3"], ["1e3", "2e3"]),
        (["Ünïcode 🎵", "two words"], ["Ünïcode 🎵", "two words"]),
    ],
)
def test_labels_stay_the_users_texts(write: Write, written: list[str], read: list[str]) -> None:
    table = load_table(write("a,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(written))))
    assert table.labels is not None
    assert table.labels.tolist() == read
    assert table.labels.dtype.kind == "U"


@pytest.mark.parametrize("labels", [pd.Series([3, 5]), pd.Series([3.0, 5.0]), pd.Series(["3", "5"], dtype="category")])
def test_labels_of_a_parquet_table(tmp_path: Path, labels: "pd.Series[int]") -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.0, 2.0], "label": labels}).to_parquet(path)
    table = load_table(path)
    assert table.labels is not None
    assert table.labels.tolist() == ["3", "5"]


def test_label_column_by_name(write: Write) -> None:
    table = load_table(write("genre,a\nx,1\ny,2\n"), label="genre")
    assert table.feature_names == ("a",)
    named_like_an_identifier = load_table(write("length,a\nx,1\ny,2\n"), label="length")
    assert not named_like_an_identifier.identifiers


def test_a_table_without_labels_where_none_are_needed(write: Write) -> None:
    assert load_table(write("a,b\n1,2\n"), need_label=False).labels is None
    labelled = load_table(write("a,label\n1,x\n"), need_label=False)
    assert labelled.labels is not None
    assert labelled.feature_names == ("a",)


def test_numbers_in_other_clothes(write: Write, tmp_path: Path) -> None:
    table = load_table(write("a,b,c,label\n1000000000000000000000000000000,True, 1.5,x\n2,False,+2e3 ,y\n"))
    np.testing.assert_array_equal(table.features, [[1e30, 1, 1.5], [2, 0, 2000]])
    path = tmp_path / "decimals.parquet"
    pd.DataFrame({"a": [Decimal("1.5"), Decimal("2")], "b": [True, False], "label": ["x", "y"]}).to_parquet(path)
    np.testing.assert_array_equal(load_table(path).features, [[1.5, 1], [2, 0]])


def test_byte_order_mark_and_crlf(write: Write) -> None:
    table = load_table(write("a,label\r\n1,x\r\n2,y\r\n".encode("utf-8-sig")))
    assert table.feature_names == ("a",)
    assert table.labels is not None
    assert table.labels.tolist() == ["x", "y"]


def test_unnamed_columns(write: Write, tmp_path: Path) -> None:
    numbered = load_table(write(",a,label,\n0,1,x,\n2,2,y,\n"))
    assert numbered.feature_names == ("a",)
    assert numbered.notes == (
        "column 1 has no name and numbers the rows: left out",
        "column 4 has neither a name nor values: left out",
    )
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.0, 2.0], "label": ["x", "y"]}, index=[4, 2]).to_parquet(path)
    assert load_table(path).feature_names == ("a",)


def test_an_unnamed_feature_is_refused(write: Write) -> None:
    with pytest.raises(TableError, match="column 2 has no name"):
        load_table(write("a,,label\n0,1.5,x\n1,1.5,y\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,b,label\n", "a header and no rows"),
        ("a,b\n1,2\n", "no label column 'label'; its columns are a, b"),
        ("a,label\n1,x\nfast,y\nslow,y\n", "column 'a' is not numeric: data row 2 holds 'fast'"),
        ("a,b,label\n1,[2, 3],x\n", "more values|has 4 values where the header has 3|not numeric"),
        ('a,b,label\n1,"[2, 3]",x\n', r"column 'b' is not numeric: data row 1 holds '\[2, 3\]'"),
        ("a,b,label\n1,,x\n2,inf,y\n3,-inf,y\n", r"column 'b' data rows 1, 2, 3 \(NaN or nothing and Inf\)"),
        ("a,b,label\nNaN,1,x\n2,3,y\n", r"column 'a' data row 1 \(NaN or nothing\)"),
        ("a,b,a,label\n1,2,3,x\n", r"duplicate column name 'a' \(columns 1, 3\)"),
        ("a b label\n1 2 x\n", "separates its columns with blanks; save it with commas"),
        ("a;b;label\n1;2;x\n1;2;x;3\n", "line 3 has 4 values where the header has 3; check the semicolons"),
        ("a,b,label\n1,2,x\n1,2,x,3\n", "line 3 has 4 values where the header has 3"),
        ("a,b,label\n1,2,x,9\n1,2,x,9\n", "more values than the header has names|line 2 has 4 values"),
        ("a,b,label\n1,x\n", "no label in data row 1"),
        ("a,label\n1,x\n2,\n3, \n", "no label in data rows 2, 3"),
        ("a,label\n1,1\n2,2.5\n", r"holds fractions \(data row 2: 2.5\)"),
        ("filename,length,label\na.wav,1,x\n", "no feature column beside filename, length, label"),
        ("a,label\n" + '"' + "1,x\n2,y\n", "is not a table"),
        ('"' + "a" * 200_000, "first line holds no column names"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not text in UTF-8"),
        ("a,label\n1,x\n".encode("utf-16") + b"\0", "not text in UTF-16"),
        (b"a,label\n1,\0\n", "zero bytes"),
        ("a,label\n1,caf\xe9\n".encode("latin-1"), "not text in UTF-8"),
    ],
)
def test_what_is_wrong_is_named(write: Write, content: str | bytes, message: str) -> None:
    path = write(content)
    with pytest.raises(TableError, match=message) as caught:
        load_table(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_of_many_columns_the_likely_labels_are_named(write: Write) -> None:
    names = [f"f{i}" for i in range(57)]
    path = write(f"{','.join(names)},genre\n{','.join(['1'] * 57)},jazz\n")
    message = (
        r"its 58 columns go from f0, f1, f2 to f55, f56, genre; text is in genre\. Name the label column with --label"
    )
    with pytest.raises(TableError, match=message):
        load_table(path)


def test_many_faults_are_counted_and_not_all_listed(write: Write) -> None:
    header = ",".join(f"f{i}" for i in range(8))
    with pytest.raises(TableError, match=r"column 'f0' data rows 1, 2, 3, 4, 5 and 4 more .*; and 3 more columns"):
        load_table(write(f"{header},label\n" + (",".join([""] * 8) + ",x\n") * 9))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"PK", "use .csv, .tsv or .txt"),
        ("t.csv.gz", b"a,label\n1,x\n", "not a whole gzip file"),
        ("t.csv.gz", gzip.compress(b"a,label\n1,x\n" * 50, mtime=0)[:-12], "not a whole gzip file"),
        ("t.parquet", b"a,label\n1,x\n", "not a Parquet file"),
        ("t.parquet", b"PAR1" + bytes(40) + b"PAR1", "not a Parquet file"),
    ],
)
def test_files_that_are_not_what_they_are_called(write: Write, name: str, content: bytes, message: str) -> None:
    path = write(content, name)
    with pytest.raises(TableError, match=message):
        load_table(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no file"):
        load_table(tmp_path / "absent.csv")
    with pytest.raises(TableError, match="is a folder"):
        load_table(tmp_path)


def test_text_columns_of_a_parquet_table_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"when": pd.to_datetime(["2024-01-01", "2024-01-02"]), "label": ["x", "y"]}).to_parquet(path)
    with pytest.raises(TableError, match="column 'when' is not numeric: data row 1"):
        load_table(path)


def test_the_published_tables(shared_data: Path) -> None:
    long = load_table(shared_data / "features_30_sec.csv")
    short = load_table(shared_data / "features_3_sec.csv.gz")
    assert (long.features.shape, short.features.shape) == ((1000, 57), (9866, 57))
    assert long.feature_names == short.feature_names
    assert set(long.identifiers) == {"filename", "length"}
    assert short.labels is not None
    assert len(set(short.labels.tolist())) == 10
