"""Columns and rows that give the label away: each is warned of, and nothing else is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from training.conftest import LIGHT, Remembered, windows_frame

from genrestack_training import Table, TableError, find_grouping, load_table, read_groups, train
from genrestack_training.data.groups.warnings import grouping_warnings
from genrestack_training.data.leakage import leakage_warnings

DATA = Path(__file__).parents[4] / "shared" / "data"
DEMO = Path(__file__).parents[3] / "client" / "genrestack" / "cli" / "demo" / "data" / "songs.csv.gz"
FULL_STOP = r"\.(\d+)\.wav$"


def warned(table: Table, split: str = "random", artists: dict[str, str] | None = None) -> list[str]:
    grouping = find_grouping(table, artists)
    assert table.labels is not None
    of_both = (table, table.labels, grouping, split)
    return [*leakage_warnings(*of_both), *grouping_warnings(*of_both)]


def load(tmp_path: Path, frame: pd.DataFrame) -> Table:
    frame.to_csv(tmp_path / "t.csv", index=False)
    return load_table(tmp_path / "t.csv", artist_column="artist" if "artist" in frame else None)


def songs(**columns: Any) -> pd.DataFrame:
    """A table sorted by its label, with columns of one's own: 60 recordings of three windows."""
    frame = windows_frame(tracks=60, windows=3).drop(columns="artist")
    frame = frame.sort_values("label", kind="stable").reset_index(drop=True)
    return frame.assign(**columns) if columns else frame


def codes(frame: pd.DataFrame) -> np.ndarray:
    return np.asarray(frame["label"].astype("category").cat.codes)


def renamed(written: str) -> pd.DataFrame:
    frame = songs()
    return frame.assign(filename=frame["filename"].str.replace(FULL_STOP, written, regex=True))


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.assign(filename="again " + frame["filename"])])


@pytest.mark.parametrize("name", ["features_30_sec.csv", "features_3_sec.csv.gz", "tags_gtzan.csv.gz"])
@pytest.mark.parametrize("split", ["random", "track", "artist"])
def test_published_tables_have_no_warnings_but_the_true_ones(name: str, split: str) -> None:
    """Fifteen pairs of songs of the 3-second table have equal windows; of fourteen the whole song is equal."""
    if not DATA.is_dir():
        pytest.skip("the published tables are not there")
    artists = read_groups(DATA / "gtzan_artist_groups.csv") if split == "artist" else None
    table = load_table(DATA / name)
    assert not table.notes
    lines = warned(table, split, artists)
    twins = {"features_30_sec.csv": 28, "features_3_sec.csv.gz": 30, "tags_gtzan.csv.gz": 0}[name]
    expected = [f"{twins} recordings have rows that equal those of another recording"] if twins else []
    if split == "track" and name == "features_30_sec.csv":
        expected.append("Every recording has one row")
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


def test_the_demos_table_has_none() -> None:
    table = load_table(DEMO)
    assert not table.notes
    assert not warned(table, "track")


def test_a_clean_table_has_none(tmp_path: Path) -> None:
    assert not warned(load(tmp_path, songs()), "track")
    assert not warned(load(tmp_path, windows_frame(tracks=60)), "artist")


@pytest.mark.parametrize("start", [0, 1, 5000, -3])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
@pytest.mark.parametrize("form", [int, float])
def test_a_counter_is_left_out(tmp_path: Path, start: int, order: str, form: type) -> None:
    frame = songs()
    frame.insert(1, "song no", np.arange(start, start + len(frame)).astype(form))
    table = load(tmp_path, frame if order == "sorted" else frame.sample(frac=1, random_state=0))
    assert table.feature_names == ("alpha", "beta", "gamma", "tempo")
    assert table.notes == ("column 'song no' numbers the rows: left out",)
    assert table.features.shape == (len(frame), 4)


def test_a_counter_is_kept_where_it_may_be_chance_or_belongs_to_a_stack(tmp_path: Path) -> None:
    few = songs().head(19)
    assert "no" in load(tmp_path, few.assign(no=range(19))).feature_names
    songs(no=range(180)).to_csv(tmp_path / "rows.csv", index=False)
    assert "no" in load_table(tmp_path / "rows.csv", need_label=False).feature_names


def test_nothing_but_a_counter_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="there is no feature column: column 'no' numbers the rows: left out"):
        load(tmp_path, songs(no=range(180))[["filename", "no", "label"]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (codes, "Column 'x' is in one-to-one relation with the label"),
        (lambda f: np.array([7.5, -2.0, 1e9])[codes(f)], "Column 'x' is in one-to-one relation with the label"),
        (lambda f: codes(f) == 1, "Column 'x' has one value in all rows of each class"),
        (lambda f: codes(f) + np.random.default_rng(0).normal(0, 0.1, len(f)), "Column 'x' has a range of its own"),
        (lambda f: np.where(np.arange(len(f)) % 99, codes(f), 0), "Column 'x' alone tells the label"),
        (lambda f: np.arange(len(f)) * 3.0, "Column 'x' has a range of its own"),
        (lambda f: np.arange(len(f)) + (np.arange(len(f)) > 90), "Column 'x' has a range of its own"),
    ],
    ids=[
        "codes",
        "other codes",
        "one hot",
        "codes with noise",
        "codes with errors",
        "every third number",
        "counter with a gap",
    ],
)
def test_a_column_that_tells_the_label(
    tmp_path: Path, make: Callable[[pd.DataFrame], np.ndarray], message: str
) -> None:
    frame = songs()
    (line,) = warned(load(tmp_path, frame.assign(x=make(frame))))
    assert line.startswith(message)
    assert line.endswith("Leave it out (--drop x)")


def test_several_are_named_in_one_line(tmp_path: Path) -> None:
    frame = songs()
    dummies = pd.get_dummies(frame["label"])
    lines = warned(load(tmp_path, pd.concat([frame.assign(a=codes(frame), b=-codes(frame)), dummies], axis=1)))
    assert [line.split(": ")[0] for line in lines] == [
        "Columns 'a', 'b' are in one-to-one relation with the label",
        "Columns 'blues', 'jazz', 'rock' have one value in all rows of each class",
    ]
    assert lines[1].endswith("Leave them out (--drop blues,jazz,rock)")


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.3, 0.5, 2.0])
def test_what_one_column_tells_is_what_a_nearest_neighbour_finds(tmp_path: Path, noise: float) -> None:
    frame = songs()
    x = codes(frame) + np.random.default_rng(1).normal(0, noise, len(frame))
    table = load(tmp_path, frame.assign(x=x)[["filename", "x", "label"]])
    tracks = find_grouping(table).tracks
    found = cross_val_predict(KNeighborsClassifier(1), table.features, table.labels, groups=tracks, cv=GroupKFold(5))
    reference = balanced_accuracy_score(table.labels, found)
    assert abs(reference - 0.98) > 0.01, "too near the threshold to tell"
    assert bool(warned(table)) == (reference > 0.98)


def test_what_few_recordings_have_by_chance_is_not_warned_of(tmp_path: Path) -> None:
    """Of two classes, the second of two recordings: of sixty columns some divide them now and then."""
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 60))
    values[:, 0].sort()
    frame = pd.DataFrame(np.repeat(values, 5, axis=0) + 1e-6 * random.normal(size=(100, 60))).add_prefix("f")
    frame.insert(0, "filename", [f"song{row // 5}.{row % 5}.wav" for row in range(100)])
    assert not warned(load(tmp_path, frame.assign(label=np.where(np.arange(100) < 90, "common", "rare"))))
    (line,) = warned(load(tmp_path, frame.assign(label=np.where(np.arange(100) < 50, "low", "high"))))
    assert line.startswith("Column 'f0' has a range of its own for each class")


def test_a_rare_class_does_not_hide_behind_a_common_one(tmp_path: Path) -> None:
    """A guess that is right in 99 of 100 rows, and tells nothing."""
    frame = songs()
    frame["label"] = np.where(np.arange(len(frame)) % 90 < 3, "rare", "common")
    assert not warned(load(tmp_path, frame))


@pytest.mark.parametrize("split", ["random", "track"])
def test_one_song_under_two_names(tmp_path: Path, split: str) -> None:
    frame = songs()
    twin = frame[frame["filename"].str.startswith("song.00003.")]
    both = pd.concat([frame, twin.assign(filename=twin["filename"].str.replace("00003", "00777"), label="other")])
    (line,) = warned(load(tmp_path, both), split)
    assert line.startswith(
        "2 recordings have rows that equal those of another recording, number by number: "
        "'song.00003' and 'song.00777'. In 3 cases the labels differ. Where one is fitted and the other held out"
    )


def test_twins_of_one_artist_stay_together_in_a_split_by_artist(tmp_path: Path) -> None:
    frame = windows_frame(tracks=60)
    table = load(tmp_path, twice(frame))
    assert "Each such pair has one artist, whom this split keeps whole" in warned(table, "artist")[0]
    assert "Remove one of each" in warned(table, "track")[0]


def test_rows_that_stand_twice(tmp_path: Path) -> None:
    frame = songs()
    (line,) = warned(load(tmp_path, pd.concat([frame, frame])))
    assert line.startswith("360 of 360 rows stand in the table more than once, as data rows ")
    without = load(tmp_path, pd.concat([frame, frame]).drop(columns="filename"))
    assert warned(without)[0].startswith("360 of 360 rows stand in the table more than once")
    one = load(tmp_path, pd.concat([frame, frame.head(1)]))
    # Two of 181 rows are more than one in a hundred; of a larger table they are not.
    assert warned(one)[0].startswith("2 of 181 rows")
    more = windows_frame(tracks=120)
    assert not warned(load(tmp_path, pd.concat([more, more.head(1)])))


def test_rows_of_few_different_values_are_equal_by_chance(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.integers(0, 6, (2000, 5)), columns=list("abcde"))
    frame["label"] = random.choice(["x", "y"], 2000)
    frame.insert(0, "filename", [f"{i:05d}.wav" for i in range(2000)])
    assert frame.duplicated(subset=list("abcde")).sum() > 100
    assert not warned(load(tmp_path, frame))


def test_a_copy_in_single_precision_is_a_copy(tmp_path: Path) -> None:
    frame = songs()
    single = frame.astype(dict.fromkeys(["alpha", "beta", "gamma", "tempo"], np.float32))
    lines = warned(load(tmp_path, pd.concat([frame, single.assign(filename="again " + frame["filename"])])))
    assert [line.split(", number")[0] for line in lines] == [
        "120 recordings have rows that equal those of another recording"
    ]


def test_minus_zero_is_zero(tmp_path: Path) -> None:
    frame = songs().assign(alpha=0.0)
    line = warned(load(tmp_path, pd.concat([frame, frame.assign(alpha=-0.0)])))[0]
    assert line.startswith("360 of 360 rows")


@pytest.mark.parametrize(
    "written",
    [
        r"_\1.wav", r"-\1.wav", r" \1.wav", r" (\1).wav", r"_seg\1.wav", r".00\1.wav", r"_\1", r"_\1.0-3.5.wav",
        r"#\1.mp3", r"_part_\1.flac", r"_\1s.wav", r"_\1s-9s.wav",
    ],
)  # fmt: skip
def test_window_numbers_that_are_not_read(tmp_path: Path, written: str) -> None:
    (line,) = warned(load(tmp_path, renamed(written)))
    assert line.startswith("180 of 180 names end in a number behind a beginning that several share, such as 'song.000")
    assert "--track-column" in line
    frame = renamed(written).assign(song=songs()["filename"].str[:10])
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert not warned(load_table(tmp_path / "t.csv", track_column="song"), "track")


@pytest.mark.parametrize("written", ["{label}.{n:05d}.wav", "{label}_{n:03d}.wav", "{n:06d}.mp3", "{label}/{n}.wav"])
def test_numbered_recordings_are_not_taken_for_windows(tmp_path: Path, written: str) -> None:
    frame = songs()
    names = [written.format(label=label, n=n) for n, label in enumerate(frame["label"])]
    assert not warned(load(tmp_path, frame.assign(filename=names)))


def test_recordings_of_gtzans_form_are_none_whatever_their_labels(tmp_path: Path) -> None:
    frame = songs()
    frame["filename"] = [f"genre{n % 20}.{n // 20:05d}.wav" for n in range(len(frame))]
    frame["label"] = np.where(np.arange(len(frame)) % 20 < 10, "loud", "soft")
    assert not warned(load(tmp_path, frame))


def test_recordings_that_are_read_as_windows_of_their_genre(tmp_path: Path) -> None:
    frame = songs()
    frame["filename"] = [f"{label}.{n}.wav" for n, label in enumerate(frame["label"])]
    (line,) = warned(load(tmp_path, frame))
    assert line.startswith("The filenames give one recording to each class, such as 'blues'")
    assert "--track-column filename" in line


def test_a_split_by_recording_of_single_rows(tmp_path: Path) -> None:
    frame = songs()
    frame["filename"] = [f"{n:05d}.wav" for n in range(len(frame))]
    table = load(tmp_path, frame)
    assert not warned(table)
    (line,) = warned(table, "track")
    assert line.startswith("Every recording has one row")


def test_groups_of_one_recording_each(tmp_path: Path) -> None:
    frame = songs().assign(artist=songs()["filename"].str[:10])
    (line,) = warned(load(tmp_path, frame), "artist")
    assert line.startswith("There are 60 groups (artists) of 60 recordings")
    frame.loc[frame["artist"] < "song.00008", "artist"] = "one"
    assert not warned(load(tmp_path, frame), "artist")


def test_warnings_stand_in_terminal_record_and_report(tmp_path: Path) -> None:
    table, heard = load(tmp_path, songs(genre=codes(songs()), n=range(180))), Remembered()
    run = train(table, overrides=LIGHT, compare=[], run_dir=tmp_path / "run", progress=heard)
    (line,) = [note for note in heard.notes if "one-to-one" in note]
    assert line.startswith("warning: Column 'genre' is in one-to-one relation")
    record = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    written = [line.removeprefix("warning: "), "column 'n' numbers the rows: left out"]
    assert set(written) <= set(record["provenance"]["warnings"])
    assert set(written) <= set(run.provenance.warnings)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for told in ("is in one-to-one relation with the label", "numbers the rows: left out"):
        assert told in page
