"""Tables that are small on the disk and large in memory, or no tables at all: refused by name before they are read."""

import datetime as dt
import gzip
import os
import socket
import zipfile
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.memory import memory
from training.conftest import LIGHT

from genrestack_training import RunError, SettingsError, Table, TableError, load_run, load_table, read_groups, train
from genrestack_training.config.presets import read_overrides
from genrestack_training.run.storage import read_record

Write = Callable[..., Path]
MIB = 2**20
LABELS = pa.array(["x", "y"])


def refused(path: Path, message: str, **options: Any) -> None:
    with pytest.raises(TableError, match=message) as caught:
        load_table(path, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("header", "block", "times", "message"),
    [
        (
            b"a,b,label\n",
            b"0,0,x\n",
            4_000_000,
            r"at least [\d,]+ lines of 3 columns .* of memory, and .* are free; leave",
        ),
        (b"a,b,label\n", b"\n", 20_000_000, r"at least [\d,]+ lines of 3 columns"),
        (b"a,b,label\n", b"\r", 20_000_000, r"at least [\d,]+ lines of 3 columns"),
        (b"\n", b"\n", 20_000_000, "is empty"),
        (b",".join(b"f%d" % i for i in range(2000)) + b",label\n", b"0\n", 20_000, r"lines of 2,001 columns"),
        (b'a,b,label\n1,2,"', b"x y\n", 5_000_000, r"at least [\d,]+ lines"),
        (b"a,b,label\n", b",,,,,,,,,,,,,,,,,,,,\n", 1_000_000, r"at least [\d,]+ values"),
        (b"a,b,label\n1,2,", b"x", 20_000_000, "a line is longer than 16 MiB, after 1 line ends"),
        (b"a,b,label\n", b"1,", 20_000_000, "a line is longer than 16 MiB"),
        (b"a", b",a", 20_000_000, "has a first line of more than 16 MiB; a line holds one row"),
        (b"", b"a", 20_000_000, "has a first line of more than 16 MiB; a line holds one row"),
    ],
)
def test_a_packed_text_table_that_is_too_large_unpacked(
    write: Write, header: bytes, block: bytes, times: int, message: str
) -> None:
    path = write(gzip.compress(header + block * times, compresslevel=1, mtime=0), "bomb.csv.gz")
    with memory(300 * MIB):
        refused(path, message)


def test_an_honest_table_is_read_in_the_same_memory(write: Write) -> None:
    path = write(gzip.compress(b"a,b,label\n" + b"0.25,0.5,x\n" * 50_000), "table.csv.gz")
    with memory(300 * MIB):
        assert load_table(path).features.shape == (50_000, 2)


def parquet(path: Path, column: Any, labels: Any = LABELS) -> Path:
    pq.write_table(pa.table({"a": column, "label": labels}), path)
    return path


def test_parquet_files_that_are_too_large_unpacked(tmp_path: Path) -> None:
    many, text = 5_000_000, pa.array(["x" * 20_000])
    rows = parquet(tmp_path / "rows.parquet", pa.array(np.zeros(many)), pa.array(np.zeros(many, np.int8)))
    lists = parquet(
        tmp_path / "lists.parquet",
        pa.ListArray.from_arrays(pa.array([0, 2 * many, 2 * many + 1], pa.int32()), pa.array(np.zeros(2 * many + 1))),
    )
    labels = parquet(
        tmp_path / "labels.parquet",
        pa.array(np.zeros(100_000)),
        pa.DictionaryArray.from_arrays(np.zeros(100_000, int), text),
    )
    texts = parquet(
        tmp_path / "texts.parquet", pa.DictionaryArray.from_arrays(np.zeros(100_000, int), text), pa.nulls(100_000)
    )
    assert max(path.stat().st_size for path in (rows, lists, labels, texts)) < MIB
    with memory(300 * MIB):
        refused(rows, "says that it has 5,000,000 rows of 2 columns, which takes about 640 MB of memory")
        refused(lists, r"2 rows of 2 columns with 10,000,001 values in lists")
        refused(labels, r"'label' holds 20,000 characters in data row 1 \('xxx.*…'\), at most 1,000 are allowed")
        refused(texts, "column 'label' has no label in data rows 1, 2, 3, 4, 5 and 99995 more")
        refused(texts, "column 'a' is not numeric: data row 1 holds 'xxx", need_label=False, label="none")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            pa.array([{"x": 1}, {"x": 2}]),
            r"column 'a' .* holds structs \(struct<x: int64>\), and a table holds one value",
        ),
        (pa.array([{f"field{i}": 1 for i in range(500)}] * 2), "column 'a' .* holds structs"),
        (pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), "column 'a' .* holds maps"),
        (pa.array([[[1]], [[2]]]), "column 'a' .* holds lists of lists"),
        (pa.array([[{"x": 1}], []]), "column 'a' .* holds structs"),
        (pa.array([[1.0], [2.0, 3.0]]), "column 'a' .* data row 2 holds a list of 2 values; write them as columns"),
        (pa.array([[1.0], []]), "column 'a' .* data row 2 holds a list of 0 values"),
        (pa.array([[1.0, 2, 3]] * 2, pa.list_(pa.float64(), 3)), "column 'a' .* data row 1 holds a list of 3 values"),
        (pa.array([dt.time(1)] * 2), "column 'a' .* holds values of another kind"),
        (
            pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 2),
            "column 'a' is not numeric: data row 1 holds Timestamp",
        ),
        (pa.array([dt.date(2026, 1, 1)] * 2), "column 'a' is not numeric: data row 1 holds Timestamp"),
        (pa.array([dt.timedelta(1)] * 2), "column 'a' is not numeric: data row 1 holds Timedelta"),
        (pa.array([b"1", b"\xff"]), "column 'a' is not numeric: data row 1 holds b'1'"),
        (pa.array([[1.0], None]), r"column 'a' data row 2 \(NaN or nothing\)"),
        (pa.nulls(2), r"column 'a' data rows 1, 2 \(NaN or nothing\)"),
        (pa.array(["1" * 400, "1"]), r"column 'a' data row 1 \(Inf\)"),
        (pa.array(["[1" + " " * MIB, "1"]), "column 'a' is not numeric: data row 1 holds"),
        (pa.array(["[" * MIB, "1"]), "column 'a' is not numeric: data row 1 holds"),
    ],
    ids=lambda value: str(value.type)[:30] if isinstance(value, pa.Array) else "",
)
def test_columns_that_are_no_numbers_are_named(tmp_path: Path, column: Any, message: str) -> None:
    refused(parquet(tmp_path / "t.parquet", column), message)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[0.1], [0.2]]),
        pa.array([[0.1], [0.2]], pa.large_list(pa.float64())),
        pa.array([[0.1], [0.2]], pa.list_(pa.float64(), 1)),
        pa.array(["0.1", "[0.2]"]),
        pa.array(["0.1", "0.2"], pa.string_view()),
        pa.array(["0.1", "0.2"]).dictionary_encode(),
        pa.array([0.1, 0.2]).dictionary_encode(),
        pa.array([Decimal("0.1"), Decimal("0.2")]),
        pa.array([Decimal("0.1"), Decimal("0.2")], pa.decimal256(60, 20)),
    ],
    ids=lambda column: str(column.type),
)
def test_numbers_in_other_columns_are_read_to_the_last_bit(tmp_path: Path, column: Any) -> None:
    table = load_table(parquet(tmp_path / "t.parquet", column))
    assert table.features.ravel().tolist() == [0.1, 0.2]


def test_a_parquet_file_that_says_what_is_not_so(tmp_path: Path) -> None:
    """Every byte of the footer changed in turn: an error of ours, or a table, and never more memory."""
    path = parquet(tmp_path / "t.parquet", pa.array([1.0, 2.0]))
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    with memory(1024 * MIB):
        for place in range(footer, len(content), 3):
            for value in (0x00, 0x7F, 0xFF):
                path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
                with suppress(TableError):
                    assert load_table(path).features.shape[1] <= 2


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (",".join(f"f{i}" for i in range(100_001)), "has 100,002 columns, at most 100,000"),
        (",".join(["a"] * 50_000), r"duplicate column name 'a' \(columns 1, 2, 3, 4, 5 and 49995 more\)"),
        ("a" * 100_000, r"the name of column 1 has 100,000 characters \('a{47}…'\), at most 200 are allowed"),
        ('"a\nb"', r"the name of column 1 has control characters \('a\\nb'\); rename it"),
        ("\x1b[31mred", "the name of column 1 has control characters"),
    ],
)
def test_names_that_nobody_means(write: Write, header: str, message: str) -> None:
    refused(write(f"{header},label\n{','.join(['1'] * (header.count(',') + 1))},x\n"), message)


def test_many_columns_without_names_and_values_are_left_out_at_once(write: Write) -> None:
    table = load_table(write(f"a,label{',' * 20_000}\n" + f"1,x{',' * 20_000}\n" * 2))
    assert table.feature_names == ("a",)
    assert len(table.notes) == 20_000


@pytest.mark.parametrize("column", ["filename", "label"])
def test_one_long_text_does_not_make_all_rows_long(write: Write, column: str) -> None:
    names = {"filename": "filename,label,a", "label": "label,filename,a"}[column]
    rows = f"{'x' * 100_000},y,1\n" + "x,y,1\n" * 20_000
    with memory(300 * MIB):
        refused(write(f"{names}\n{rows}"), rf"column '{column}' holds 100,000 characters in data row 1")


@pytest.mark.parametrize("cell", ["[1" + " " * MIB, "[" * 100_000, "9" * MIB, "-" * MIB, "[" + "1" * MIB + " x]"])
def test_a_long_cell_is_looked_at_once(write: Write, cell: str) -> None:
    refused(write(f"a,label\n{cell},x\n1,y\n"), "column 'a' is not numeric: data row 1 holds .{1,40}. Correct it")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(path))


SPECIAL = [
    (pipe, "is a pipe; write what comes out of it to a file, and name that"),
    (Path.mkdir, "is a folder; name a file in it"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device; name a file"),
    (lambda path: path.symlink_to("/dev/null"), "is a device; name a file"),
    (listener, "is a socket; name a file"),
    (lambda path: path.symlink_to(path.name), "cannot read .*: Too many levels of symbolic links"),
    (lambda path: path.symlink_to("nowhere"), "there is no file .*; check the path"),
]


@pytest.mark.parametrize(("make", "message"), SPECIAL)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_what_is_no_regular_file_is_not_read(
    tmp_path: Path, make: Callable[[Path], None], message: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    refused(tmp_path / name, message)


@pytest.mark.parametrize(("make", "message"), SPECIAL)
def test_nor_as_settings_or_groups(
    tmp_path: Path, make: Callable[[Path], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "file")
    with pytest.raises(SettingsError, match=message):
        read_overrides(tmp_path / "file")
    with pytest.raises(TableError, match=f"cannot read the groups file: .*{message}"):
        read_groups(tmp_path / "file")


def test_a_name_that_no_file_has() -> None:
    for name in ("\0.csv", "a" * 5000 + ".csv"):
        with pytest.raises(TableError, match=r"cannot read .*; check the path"):
            load_table(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 30_000, "is not TOML"),
        ("x = " + "{a=" * 20_000, "is not TOML"),
        ("x = " + "9" * 5000, "is not TOML"),
        ("a." * 40_000 + "b = 1", "is larger than 64 KiB"),
        ("# " + "x" * MIB, "is larger than 64 KiB"),
        ("[svc]\nC = 1" + "0" * 400, r"\[svc\] C is .*; it must be a number above 0"),
    ],
)
def test_settings_that_are_no_settings(write: Write, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        read_overrides(write(text, "settings.toml"))
    assert "\n" not in str(caught.value)


def test_groups_that_are_too_many(tmp_path: Path) -> None:
    with (tmp_path / "groups.csv").open("wb") as file:
        file.truncate(65 * MIB)
    with memory(300 * MIB), pytest.raises(TableError, match=r"is larger than 65,536 KiB"):
        read_groups(tmp_path / "groups.csv")


def test_many_classes_are_counted_and_not_all_listed(write: Write) -> None:
    table = load_table(write("a,label\n" + "".join(f"{i / 2},genre {i}\n" for i in range(20_000))))
    with pytest.raises(TableError, match=r"fewer are there of: 'genre 0' \(1\), .* and 19995 more") as caught:
        train(table, overrides=LIGHT, runs_dir=None)
    assert len(str(caught.value)) < 1000


def test_arrays_of_a_run_that_are_too_large_unpacked(small_table: Table, tmp_path: Path) -> None:
    run = train(small_table, overrides=LIGHT, run_dir=tmp_path / "run").path
    assert run is not None
    with zipfile.ZipFile(run / "reference.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.npy", bytes(400 * MIB))
    with (
        memory(300 * MIB),
        pytest.raises(RunError, match=r"says that it holds 419,430,400 bytes, .* are free; train again"),
    ):
        load_run(run)
    (run / "metrics.json").write_text('{"format": ' + "[" * 100_000)
    with pytest.raises(RunError, match="is broken: it is not JSON"):
        read_record(run)
    os.truncate(run / "metrics.json", 257 * MIB)
    with pytest.raises(RunError, match="is larger than 262,144 KiB"):
        read_record(run)
