"""The column that says what computed a table's features."""

from pathlib import Path

import pytest

from genrestack_common.extractors import KINDS, Extractor
from genrestack_training import TableError, load_table
from genrestack_training.data.collections import load_tables

ONE, OTHER = "a" * 64, "b" * 64


def write(path: Path, extractors: list[str]) -> Path:
    lines = [f"{number}.wav,{text},{number % 3}.5,rock" for number, text in enumerate(extractors)]
    path.write_text("\n".join(["filename,extractor,tag_rock,label", *lines]) + "\n")
    return path


def test_it_is_remembered_and_no_feature(tmp_path: Path) -> None:
    table = load_table(write(tmp_path / "t.csv", [f"tags {ONE}"] * 4))
    assert table.extractor == Extractor("tags", ONE)
    assert table.feature_names == ("tag_rock",)
    assert table.notes == ()


def test_rows_of_different_taggers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"column 'extractor' has 2 values \(data row 3 is the first to differ\)"):
        load_table(write(tmp_path / "t.csv", [f"tags {ONE}", f"tags {ONE}", f"tags {OTHER}"]))
    with pytest.raises(TableError, match="data row 2 is the first"):
        load_table(write(tmp_path / "t.csv", [f"tags {ONE}", ""]))
    tables = [write(tmp_path / f"{name}.csv", [f"tags {name * 64}"] * 3) for name in "ab"]
    with pytest.raises(TableError, match=f"different extractors .tags {ONE} and tags {OTHER}."):
        load_tables(tables)
    plain = tmp_path / "plain.csv"
    plain.write_text("filename,tag_rock,label\na.wav,1.5,rock\nb.wav,2.5,rock\n")
    with pytest.raises(TableError, match=f"not said and tags {ONE}"):
        load_tables([plain, tables[0]])


def test_a_column_of_that_name_that_says_something_else_is_like_any_other(tmp_path: Path) -> None:
    table = load_table(write(tmp_path / "t.csv", ["1.5", "2.5", "0.5"]))
    assert table.extractor is None
    assert table.feature_names == ("extractor", "tag_rock")
    with pytest.raises(TableError, match="'extractor' is not numeric"):
        load_table(write(tmp_path / "t.csv", ["by hand"] * 3))


def test_a_text_is_read_back() -> None:
    for kind in KINDS[1:]:
        assert Extractor.parse(str(Extractor(kind, ONE))) == Extractor(kind, ONE)
    assert str(Extractor()) == "spectral"
    for text in ("spectral", f"spectral {ONE}", f"tags {ONE[1:]}", f"tags {ONE}\n", f"other {ONE}"):
        with pytest.raises(ValueError, match="is not an extractor"):
            Extractor.parse(text)
