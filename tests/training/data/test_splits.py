"""What each split keeps apart, inner folds included, and where the groups come from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split
from training.conftest import LIGHT, windows_frame

from genrestack_training import (
    Grouping,
    Run,
    Table,
    TableError,
    find_grouping,
    load_table,
    read_groups,
    track_of,
    train,
)
from genrestack_training.data.splits import SPLITS, fold_splits, folds_of, grouped_folds, inner_folds, make_split

Write = Callable[..., Path]
Make = Callable[..., Table]


@pytest.mark.parametrize(
    ("filename", "track"),
    [
        ("blues.00000.3.wav", "blues.00000"),
        ("blues.00000.wav", "blues.00000"),
        ("blues.00010.10.mp3", "blues.00010"),
        ("blues.00000", "blues.00000"),
        ("01 My song (live).0.wav", "01 My song (live)"),
        ("01 My song.wav", "01 My song"),
        ("rock.a.mp3.12.wav", "rock.a.mp3"),
        ("synth-breaks.000.2.wav", "synth-breaks.000"),
        ("7", "7"),
        ("a.7", "a"),
        (".wav", ".wav"),
    ],
)
def test_the_recording_is_read_from_the_filename(filename: str, track: str) -> None:
    assert track_of(filename) == track


@pytest.mark.parametrize("name", ["features_30_sec.csv", "features_3_sec.csv.gz"])
def test_the_published_tables_have_a_thousand_tracks_in_310_groups(shared_data: Path, name: str) -> None:
    table = load_table(shared_data / name)
    grouping = find_grouping(table, read_groups(shared_data / "gtzan_artist_groups.csv"))
    assert len(np.unique(grouping.groups("track"))) == 1000
    assert len(np.unique(grouping.groups("artist"))) == 310
    assert grouping.windowed == (name == "features_3_sec.csv.gz")
    assert grouping.honest_unit == "artist"
    assert find_grouping(table).honest_unit == ("track" if grouping.windowed else "row")


@pytest.mark.parametrize("unit", ["track", "artist"])
def test_a_grouped_split_is_the_first_fold_of_stratified_groups(windows: Table, unit: str) -> None:
    grouping = find_grouping(windows)
    split = make_split(unit, windows, test_share=0.25, seed=3)
    groups = np.array([n[:10] for n in windows.identifiers["filename"]]) if unit == "track" else grouping.artists
    cut = StratifiedGroupKFold(4, shuffle=True, random_state=3).split(windows.features, windows.labels, groups)
    training, test = next(cut)
    np.testing.assert_array_equal(split.training, training)
    np.testing.assert_array_equal(split.test, test)
    assert f"No {unit} stands on both sides" in split.meaning


def test_a_random_split_is_the_notebooks(windows: Table) -> None:
    training, test = train_test_split(np.arange(108), test_size=0.2, stratify=windows.labels, random_state=42)
    split = make_split("random", windows, test_share=0.2, seed=42)
    np.testing.assert_array_equal(split.training, training)
    np.testing.assert_array_equal(split.test, test)
    assert "how well recordings are recognised" in split.meaning


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000), unit=st.sampled_from(["row", "track", "artist"]), folds=st.integers(2, 4), data=st.data()
)
def test_no_group_is_ever_on_both_sides(seed: int, unit: str, folds: int, data: st.DataObject) -> None:
    """Of the outer folds and, within each outer training side, of the folds that the meta-learner learns from."""
    random = np.random.default_rng(seed)
    artists = np.repeat(np.arange(24), random.integers(1, 4, size=24))
    tracks = np.repeat(np.arange(len(artists)), random.integers(1, 4, size=len(artists)))
    artists = artists[tracks]
    labels = np.array(["a", "b"])[artists % 2]
    grouping = Grouping(tracks.astype(str), artists.astype(str), len(tracks))
    groups = grouping.groups(unit)
    seen = np.zeros(len(labels), dtype=int)
    for split in fold_splits(unit, labels, grouping, folds, seed):
        seen[split.test] += 1
        assert len(np.unique(np.concatenate([split.training, split.test]))) == len(labels)
        assert not set(groups[split.training]) & set(groups[split.test])
        inner = inner_folds("split", split, labels, grouping, 3, seed)
        if unit == "row":
            assert inner is None
            continue
        assert inner is not None
        inside = groups[split.training]
        for training, test in inner:
            assert not set(inside[training]) & set(inside[test])
        np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in inner])), np.arange(len(inside)))
    assert (seen == 1).all()


def fitted_folds(run: Run) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(run.stack.cv)


@pytest.mark.parametrize("unit", ["track", "artist"])
def test_the_fitted_stack_learned_from_folds_of_whole_groups(windows: Table, unit: str) -> None:
    run = train(windows, overrides=LIGHT, split=unit, runs_dir=None)
    split = make_split(unit, windows, test_share=0.2, seed=42)
    groups = find_grouping(windows).groups(unit)
    np.testing.assert_array_equal(run.training_rows, windows.features[split.training])
    assert not set(groups[split.training]) & set(groups[split.test])
    for training, test in fitted_folds(run):
        assert not set(groups[split.training][training]) & set(groups[split.training][test])
    assert run.provenance.split == unit


def test_a_random_split_leaves_the_folds_to_the_stack(windows: Table) -> None:
    assert train(windows, overrides=LIGHT, runs_dir=None).stack.cv == 2
    grouped = {"stack": {**LIGHT["stack"], "folds_by": "groups"}}
    assert len(fitted_folds(train(windows, overrides=grouped, runs_dir=None))) == 2


@pytest.mark.parametrize(("by", "grouped"), [("split", True), ("groups", True), ("rows", False)])
def test_without_a_split_the_folds_keep_what_is_known(windows: Table, by: str, grouped: bool) -> None:
    overrides = {"stack": {**LIGHT["stack"], "folds_by": by}}
    run = train(windows, overrides=overrides, split="none", runs_dir=None)
    assert isinstance(run.stack.cv, list) == grouped
    if grouped:
        order = make_split("none", windows, test_share=0.2, seed=42).training
        artists = find_grouping(windows).groups("artist")[order]
        for training, test in fitted_folds(run):
            assert not set(artists[training]) & set(artists[test])


def test_folds_by_recording_under_a_split_by_artist(windows: Table) -> None:
    split, grouping = make_split("artist", windows, test_share=0.2, seed=42), find_grouping(windows)
    inner = inner_folds("tracks", split, np.asarray(windows.labels), grouping, 3, 42)
    tracks, artists = (grouping.groups(unit)[split.training] for unit in ("track", "artist"))
    assert inner is not None
    assert not any(set(tracks[training]) & set(tracks[test]) for training, test in inner)
    assert any(set(artists[training]) & set(artists[test]) for training, test in inner)
    alone = Grouping(np.arange(108).astype(str), None, 108)
    assert inner_folds("tracks", split, np.asarray(windows.labels), alone, 3, 42) is None


def test_single_rows_are_folded_as_scikit_learn_does(windows: Table) -> None:
    labels = np.asarray(windows.labels)
    expected = list(StratifiedKFold(3, shuffle=True, random_state=1).split(labels, labels))
    for (training, test), (a, b) in zip(grouped_folds(labels, np.arange(108), 3, 1), expected, strict=True):
        np.testing.assert_array_equal(training, a)
        np.testing.assert_array_equal(test, b)


def test_the_share_becomes_a_number_of_folds() -> None:
    assert [folds_of(share) for share in (0.2, 0.25, 0.1, 0.5, 0.9)] == [5, 4, 10, 2, 2]


def test_columns_can_name_the_groups(write: Write) -> None:
    frame = windows_frame().assign(recording=lambda f: f.filename.str[5:10].astype(int)).drop(columns="filename")
    table = load_table(write(frame.to_csv(index=False)), track_column="recording", artist_column="artist")
    assert table.feature_names == ("alpha", "beta", "gamma", "tempo")
    assert len(np.unique(find_grouping(table).groups("track"))) == 36
    assert len(np.unique(find_grouping(table).groups("artist"))) == 12


@pytest.mark.parametrize(
    "content",
    [
        "filename,group\n{}",
        "\ufefffilename,artist_group,split\n{}",
        "group\tyear\tfilename\n{}",
        "filename,anything\n{}\n\n",
    ],
)
def test_a_groups_file(write: Write, windows: Table, content: str) -> None:
    """Of whole recordings, in the order of its own header."""
    header = content.split("\n", maxsplit=1)[0].lstrip("\ufeff")
    mark = "\t" if "\t" in header else ","
    lines = []
    for track in range(36):
        cells = {"filename": f"song.{track:05d}.au", "year": "1999", "split": "val"}
        lines.append(mark.join(cells.get(name, f'"artist {track % 12}"') for name in header.split(mark)))
    groups = read_groups(write(content.format("\n".join(lines)), "groups.csv"))
    found = find_grouping(windows, groups)
    np.testing.assert_array_equal(found.groups("artist"), find_grouping(windows).groups("artist"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no lines below a header"),
        ("filename,group\n", "has no lines below a header"),
        ("name,group\na.wav,1", "has no column 'filename'; its columns are 'name', 'group'"),
        ("filename,a,b\nx.wav,1,2", "has no column 'group'; name one of its columns so: 'a', 'b'"),
        ("filename,group\na.wav,\n", "line 2: there is no group"),
        ("filename,group\na.wav\n", "line 2: there is no group"),
        ("filename,group\n,b\n", "line 2: there is no filename"),
        ("filename,group\na.wav,1\na.wav,2\n", "line 3: 'a.wav' has another group further up"),
        ("filename,group\na.wav,1\na.mp3,2\n", "'a' stands with two extensions and two groups"),
        (b"filename,group\n\xff,1\n", "not text in UTF-8"),
        ('filename,group\n"a.wav,1\x00', "groups.csv"),
    ],
)
def test_groups_files_that_cannot_be_used(write: Write, content: str | bytes, message: str) -> None:
    path = write(content, "groups.csv")
    with pytest.raises(TableError, match=r"groups\.csv") as caught:
        read_groups(path)
    assert message in str(caught.value)


def test_a_groups_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot read the groups file"):
        read_groups(tmp_path / "absent.csv")


def test_filenames_without_a_group_are_named(windows: Table) -> None:
    groups = {f"song.{track:05d}.wav": "one" for track in range(34)}
    message = r"no line for 6 of the table's filenames: song.00034.0.wav, .*song.00035.1.wav and 1 more\. Add a line"
    with pytest.raises(TableError, match=message):
        train(windows, overrides=LIGHT, split="artist", artists=groups, runs_dir=None)


def test_windows_may_have_groups_of_their_own_but_not_of_two_artists(windows: Table) -> None:
    names = [str(name) for name in windows.identifiers["filename"]]
    assert find_grouping(windows, {name: name[:10] for name in names}).honest_unit == "artist"
    with pytest.raises(TableError, match=r"recording 'song.00000' has rows of several artists"):
        find_grouping(windows, {name: name for name in names})


def test_tables_that_do_not_say_what_belongs_together(small_table: Table, windows: Table, write: Write) -> None:
    with pytest.raises(TableError, match="which rows belong to one recording: it has no column filename"):
        train(small_table, split="track", overrides=LIGHT, runs_dir=None)
    with pytest.raises(TableError, match="groups are looked up by filename"):
        train(small_table, split="artist", artists={"a": "b"}, overrides=LIGHT, runs_dir=None)
    path = write(windows_frame().drop(columns="artist").to_csv(index=False))
    with pytest.raises(TableError, match="which recordings are of one artist; give a table of filename and group"):
        train(load_table(path), split="artist", overrides=LIGHT, runs_dir=None)
    with pytest.raises(TableError, match="no column 'album' to group rows by; its columns are filename, alpha"):
        load_table(path, track_column="album")
    with pytest.raises(TableError, match="column 'label' is the label; rows cannot be grouped by it"):
        load_table(path, artist_column="label")
    gap = windows_frame()
    gap.loc[4, "artist"] = None
    with pytest.raises(TableError, match="data row 5 has no artist in column 'artist'"):
        find_grouping(load_table(write(gap.to_csv(index=False)), artist_column="artist"))


def test_too_few_groups_are_named() -> None:
    labels = np.array(["a"] * 6 + ["b"] * 6)
    with pytest.raises(TableError, match="5 folds need at least 5 artists, and there are 4"):
        grouped_folds(labels, np.arange(12) // 3, 5, 0, "artists")
    with pytest.raises(
        TableError, match=r"with artists kept whole, a fold leaves nothing to fit of: 'b' \(1\) artists"
    ):
        grouped_folds(labels, np.array([0, 1, 2, 3, 4, 5] + [6] * 6), 3, 0, "artists")
    with pytest.raises(TableError, match="4 folds need a class with as many rows, and none has more than 3"):
        grouped_folds(np.arange(12) // 3, np.arange(12), 4, 0)


def test_the_splits_that_there_are() -> None:
    assert list(SPLITS) == ["random", "track", "artist", "collection", "none"]
