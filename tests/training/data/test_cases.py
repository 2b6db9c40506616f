"""Forty tables as people have them, each read rightly or told rightly; pandas is the reference for what is read."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.samples.tables import zipped

from genrestack_training import TableError, find_grouping, load_table
from genrestack_training.data.groups.warnings import grouping_warnings, label_warnings
from genrestack_training.data.leakage import leakage_warnings

GENRES = ["blues", "disco", "jazz", "metal", "pop"]
NAMES = ["chroma", "rms", "rolloff", "tempo"]
ROWS = 150


def songs() -> pd.DataFrame:
    """Thirty songs a genre, in their order, named as the published table names them."""
    random = np.random.default_rng(3)
    kind = np.repeat(np.arange(len(GENRES)), ROWS // len(GENRES))
    frame = pd.DataFrame(random.normal(size=(ROWS, 4)) + kind[:, None] * [0.3, 0.5, -0.2, 0.0], columns=NAMES)
    frame.insert(0, "filename", [f"{GENRES[k]}.{i % 30:05d}.wav" for i, k in enumerate(kind)])
    return frame.assign(label=[GENRES[k] for k in kind])


@dataclass(frozen=True)
class Case:
    """A table, and what comes of it."""

    write: Callable[[pd.DataFrame, Path], Any]
    """To a path, from `songs`."""
    name: str = "t.csv"
    told: str = ""
    """The error; "" if it is read."""
    features: tuple[str, ...] = tuple(NAMES)
    notes: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    """What each warning has in it."""
    classes: int = len(GENRES)
    options: dict[str, Any] = field(default_factory=dict)


def csv(change: Callable[[pd.DataFrame], pd.DataFrame] = lambda f: f, **options: Any) -> Callable[..., None]:
    return lambda frame, path: change(frame).to_csv(path, **{"index": False, **options})


def text(change: Callable[[str], str | bytes]) -> Callable[..., None]:
    def write(frame: pd.DataFrame, path: Path) -> None:
        content = change(frame.to_csv(index=False))
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame] = lambda f: f) -> Callable[..., None]:
    return lambda frame, path: change(frame).to_parquet(path)


def codes(frame: pd.DataFrame) -> "pd.Series[Any]":
    return frame["label"].astype("category").cat.codes


def printed(form: str, frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(tempo=[form.format(value) for value in frame["tempo"]])


def every_other(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    return frame.assign(label=[change(label) if i % 2 else label for i, label in enumerate(frame["label"])])


def spotify(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.drop(columns="filename").assign(explicit=np.arange(ROWS) % 2 == 0, key=np.arange(ROWS) % 12)
    for column in ("track_name", "album_name", "artists", "track_id"):
        frame.insert(0, column, [f"{column} {i};x" for i in range(ROWS)])
    return frame.rename(columns={"label": "track_genre"})


def many_headers(frame: pd.DataFrame, path: Path) -> None:
    frame = frame[NAMES].copy()
    frame.columns = pd.MultiIndex.from_tuples(
        [("chroma", "mean", "01"), ("chroma", "var", "01"), ("rolloff", "mean", "01"), ("tempo", "mean", "02")],
        names=["feature", "statistics", "number"],
    )
    frame.index.name = "track_id"
    frame.to_csv(path)


CASES: dict[str, Case] = {
    "unnamed index, label first": Case(
        csv(lambda f: f[["label", *NAMES]], index=True), notes=("column 1 has no name and numbers the rows: left out",)
    ),
    "a name split at its blanks": Case(
        text(lambda t: t.replace("blues.00003.wav", "my,own,song.mp3")),
        told="line 5 has 8 values where the header has 6"
    ),
    "texts among numbers": Case(
        csv(spotify),
        told="4 columns are not numeric: 'track_id' .*'artists' .*'album_name' .*'track_name' .*--drop track_id,art",
        options={"label": "track_genre"},
    ),
    "texts left out": Case(
        csv(spotify), features=(*NAMES, "explicit", "key"), warned=(),
        options={"label": "track_genre", "drop": ["track_id", "artists", "album_name", "track_name"]},
    ),
    "a question mark": Case(
        text(lambda t: re.sub(r"(blues\.00003\.wav),[^,]*,", r"\1,?,", t)),
        told=r"column 'chroma' is not numeric: data row 4 holds '\?'. Correct it, leave .* out \(--drop chroma\)",
    ),
    "blank rows": Case(
        text(lambda t: t.replace("\ndisco.00000", "\n,,,,,\n,,,,,\ndisco.00000")),
        notes=("data rows 31, 32 hold nothing: left out",),
    ),
    "three header rows": Case(many_headers, told="has a header of 4 lines; a table has one: join the names"),
    "decimal commas in quotes": Case(csv(decimal=",", quoting=1)),
    "semicolons and decimal commas": Case(csv(sep=";", decimal=",")),
    "tabs": Case(csv(sep="\t"), name="t.tsv"),
    "tabs in a csv": Case(csv(sep="\t")),
    "pq": Case(parquet(), name="t.pq"),
    "zip": Case(lambda f, path: f.to_csv(path, index=False), name="t.csv.zip"),
    "a zip of two tables": Case(
        lambda _, path: path.write_bytes(zipped({"a.csv": b"", "b.csv": b""})), name="t.zip",
        told="holds 2 tables: 'a.csv'"
    ),
    "bzip2": Case(lambda f, path: f.to_csv(path, index=False), name="t.csv.bz2"),
    "xz": Case(lambda f, path: f.to_csv(path, index=False), name="t.csv.xz"),
    "capital letters": Case(csv(), name="T.CSV"),
    "txt": Case(csv(), name="t.txt"),
    "blanks behind labels": Case(
        csv(lambda f: every_other(f, lambda label: label + " ")), notes=("75 labels had blanks around them: taken off",)
    ),
    "labels in two cases": Case(
        csv(lambda f: every_other(f, str.title)), classes=10, warned=("classes of their own: 'Blues' and 'blues',",)
    ),
    "Label": Case(csv(lambda f: f.rename(columns={"label": "Label"})), told="no label column 'label'; its columns are"),
    "label codes beside labels": Case(
        csv(lambda f: f.assign(genre_id=codes(f))), features=(*NAMES, "genre_id"),
        warned=("Column 'genre_id' is in one-to-one relation with the label",),
    ),
    "labels beside label codes": Case(
        csv(lambda f: f.assign(genre=f["label"], label=codes(f))),
        told=r"column 'genre' is not numeric.*\(--drop genre\)"
    ),
    "a named index": Case(
        csv(lambda f: f.assign(index=range(ROWS))), notes=("column 'index' numbers the rows: left out",)
    ),
    "one-hot labels": Case(
        csv(lambda f: pd.concat([f[NAMES], pd.get_dummies(f["label"])], axis=1)), told="no label column 'label'"
    ),
    "one-hot labels beside labels": Case(
        csv(lambda f: pd.concat([f, pd.get_dummies(f["label"])], axis=1)), features=(*NAMES, *GENRES),
        warned=("Columns 'blues', 'disco', 'jazz', 'metal', 'pop' have one value in all rows of each class",),
    ),
    **{
        f"tempo as {form}": Case(csv(partial(printed, form)))
        for form in ("[{}]", "[ {} ]", "array([{}])", "np.float64({})", "[np.float64({})]", "array([{}], dtype=f4)")
    },
    "thousands": Case(
        csv(lambda f: f.assign(tempo=[f"{(i + 20) * 99:,.2f}" for i in range(ROWS)])),
        told="column 'tempo' is not numeric: data row 1 holds '1,980.00'; numbers of this table are read with decimal",
    ),
    "BOM, CRLF and quotes": Case(csv(encoding="utf-8-sig", lineterminator="\r\n", quoting=1)),
    "UTF-16": Case(csv(encoding="utf-16")),
    "CR": Case(csv(lineterminator="\r")),
    "missing values": Case(
        csv(lambda f: f.assign(rms=f["rms"].where(f.index != 7))), told=r"column 'rms' data row 8 \(NaN or nothing\)"
    ),
    "types of a parquet file": Case(
        parquet(
            lambda f: f.assign(
                label=pd.Categorical(f["label"], [*GENRES, "polka"]), tempo=f["tempo"].astype("Float64"),
                i=pd.array(np.arange(ROWS) % 5, "Int64"), b=np.arange(ROWS) % 3 == 0,
            )
        ),
        name="t.parquet", features=(*NAMES, "i", "b"),
    ),
    "an index of names": Case(parquet(lambda f: f.set_index("filename")), name="t.parquet"),
    "times": Case(
        parquet(lambda f: f.assign(when=pd.Timestamp("2024-01-01"))), name="t.parquet",
        told=r"column 'when' is not numeric: data row 1 holds Timestamp.*--drop when",
    ),
    "lists": Case(
        parquet(lambda f: f.assign(mfcc=list(np.zeros((ROWS, 13))))), name="t.parquet",
        told="column 'mfcc' is not numeric: data row 1 holds a list of 13 values",
    ),
    "lists left out": Case(
        parquet(lambda f: f.assign(mfcc=list(np.zeros((ROWS, 13))))), name="t.parquet", options={"drop": ["mfcc"]}
    ),
    "a label that is true or false": Case(
        parquet(lambda f: f.assign(label=f["label"].isin(["jazz", "pop"]))), name="t.parquet", classes=2
    ),
    "columns that never vary": Case(csv(lambda f: f.assign(sr=22050, one=1.0)), features=(*NAMES, "sr", "one")),
    "numbers without zeros": Case(
        csv(lambda f: f.assign(filename=[f"{g}.{i % 30}.wav" for i, g in enumerate(f["label"])])),
        warned=("The filenames give one recording to each class, such as 'blues'",),
    ),
    "paths of Windows": Case(csv(lambda f: f.assign(filename="Data\\genres\\" + f["label"] + "\\" + f["filename"]))),
    "file_name": Case(
        csv(lambda f: f.rename(columns={"filename": "file_name"})),
        told=r"column 'file_name' is not numeric: .*\(--drop file_name\).*what names recordings with --track-column",
    ),
    "file_name, named": Case(
        csv(lambda f: f.rename(columns={"filename": "file_name"})), options={"track_column": "file_name"}
    ),
    "float labels": Case(csv(lambda f: f.assign(label=codes(f).astype(float)))),
    "a name of two lines": Case(
        csv(lambda f: f.rename(columns={"tempo": 'Tempo, "BPM"\n(est.)'})),
        told="the name of column 5 has control characters"
    ),
    "a name with commas and notes": Case(
        csv(lambda f: f.rename(columns={"tempo": 'Tempo, "BPM"', "rms": "énergie ♪"})),
        features=("chroma", "énergie ♪", "rolloff", 'Tempo, "BPM"'),
    ),
    "a blank before a name": Case(csv(lambda f: f.rename(columns={"rms": " rms"}))),
    "no header": Case(csv(header=False), told=r"has no header: its first line holds values \('"),
    "numbers as names": Case(
        csv(lambda f: f[[*NAMES, "label"]].set_axis([*map(str, range(4)), "label"], axis=1)),
        features=("0", "1", "2", "3")
    ),
    "all rows twice": Case(
        csv(lambda f: pd.concat([f, f])), warned=("300 of 300 rows stand in the table more than once",)
    ),
    "every song under two names": Case(
        csv(lambda f: pd.concat([f, f.assign(filename="copy of " + f["filename"])])),
        warned=("300 recordings have rows that equal those of another recording",),
    ),
    "a list of labels": Case(csv(lambda f: f.assign(label=[str([label]) for label in f["label"]]))),
    "blanks after commas": Case(text(lambda t: t.replace(",", ", "))),
    "comments": Case(text(lambda t: "# made by hand, on a Monday\n" + t)),
    "sep=": Case(text(lambda t: "sep=;\r\n" + t.replace(",", ";"))),
    "blanks for separators": Case(text(lambda t: t.replace(",", " ")), told="separates its columns with blanks"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_table_is_read_rightly_or_told_rightly(case: Case, tmp_path: Path) -> None:
    frame, path = songs(), tmp_path / case.name
    case.write(frame, path)
    if case.told:
        with pytest.raises(TableError, match=case.told) as caught:
            load_table(path, **case.options)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        return
    table = load_table(path, **case.options)
    assert table.labels is not None
    assert table.feature_names == case.features
    assert table.notes == case.notes
    assert len(np.unique(table.labels)) == case.classes
    if set(NAMES) <= set(case.features):
        times = len(table.features) // ROWS
        np.testing.assert_array_equal(table.features[:, :4], np.tile(frame[NAMES], (times, 1)))
    of_all = (table, table.labels, find_grouping(table), "random")
    lines = [*label_warnings(table.labels), *leakage_warnings(*of_all), *grouping_warnings(*of_all)]
    assert len(lines) == len(case.warned), lines
    for line, part in zip(lines, case.warned, strict=True):
        assert part in line
