"""Folders of recordings to tables: the command as a person calls it."""

import csv
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.crashing import NOTHING, nothing_or_crash
from support.samples.audio_signals import music

from genrestack_audio import FEATURE_NAMES, AudioError
from genrestack_audio.cli import features
from genrestack_audio.table.clips import find_clips
from genrestack_audio.table.labels import read_labels
from genrestack_audio.table.table import build_table
from genrestack_audio.table.work import compute, compute_all
from genrestack_audio.windows.windows import Windows
from genrestack_training.data.groups.grouping import track_of

WriteSound = Callable[..., Path]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(features, [str(argument) for argument in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def genres(write_sound: WriteSound) -> Path:
    """Two genres, three recordings, one of them too short."""
    folder = write_sound("genres/rock/b.wav", music(6.5, seed=1)).parent.parent
    write_sound("genres/jazz/album/a.flac", music(3.5, seed=2))
    write_sound("genres/jazz/short.wav", music(1))
    (folder / "jazz" / "notes.txt").write_text("no recording")
    (folder / "jazz" / "._a.flac").write_text("what a Mac leaves behind")
    return folder


def test_genre_folders(genres: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    result = call(genres, "-o", table, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert f"{table}: 3 rows of 2 recordings; 1 left out" in result.output
    assert "left out: " in result.stderr
    assert "short.wav: lasts 1.00 s" in result.stderr
    rows = rows_of(table)
    assert list(rows[0]) == ["filename", "length", *FEATURE_NAMES, "label"]
    assert [(row["filename"], row["length"], row["label"]) for row in rows] == [
        ("a.0.wav", "66149", "jazz"),
        ("b.0.wav", "66149", "rock"),
        ("b.1.wav", "66149", "rock"),
    ]
    outcome = compute(genres / "rock" / "b.wav", Windows())
    assert not isinstance(outcome, AudioError)
    # How many threads multiply matrices shows in the last digits.
    np.testing.assert_allclose([float(rows[2][name]) for name in FEATURE_NAMES], outcome.rows[1], rtol=1e-6, atol=1e-9)
    assert not list(tmp_path.glob("*.part"))


def test_strict_writes_the_table_and_fails(genres: Path, tmp_path: Path) -> None:
    result = call(genres, "-o", tmp_path / "table.csv", "--jobs", 1, "--strict")
    assert result.exit_code == 1
    assert len(rows_of(tmp_path / "table.csv")) == 3


def test_processes_give_the_same_table(genres: Path, tmp_path: Path) -> None:
    for name, jobs in (("one.csv", 1), ("two.csv", 2)):
        assert call(genres, "-o", tmp_path / name, "--jobs", jobs).exit_code == 0
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_parquet_is_the_same_table(genres: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    options = ("--window", 1, "--hop", 2)
    for name in ("t.csv", "t.parquet"):
        assert call(genres / "rock", genres / "jazz", "-o", tmp_path / name, "--jobs", 1, *options).exit_code == 0
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [{name: str(value) for name, value in row.items()} for row in rows] == rows_of(tmp_path / "t.csv")
    # jazz/ holds a recording itself, so it is a genre, and the album in it is none.
    assert [row["label"] for row in rows] == ["rock"] * 3 + ["jazz"] * 3
    assert {row["length"] for row in rows} == {22_049}


def test_a_stopped_build_goes_on(genres: Path, tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def stop_after_one(progress: object) -> None:
        if getattr(progress, "done") == 1:  # noqa: B009 - whatever it is called with
            raise Stop

    table = tmp_path / "table.csv"
    clips = find_clips([genres], None)
    with pytest.raises(Stop):
        build_table(clips, table, Windows(), progress=stop_after_one)
    part = tmp_path / "table.csv.part"
    first = part.read_text().splitlines()[1]
    part.write_text(part.read_text() + '{"file": "torn')
    assert not table.exists()
    wrong = call(genres, "-o", table, "--jobs", 1, "--window", 2)
    assert wrong.exit_code == 1
    assert "other settings (window 66149, hop 66150" in wrong.output
    # A value that nobody would compute shows that the row was not computed again.
    changed = json.loads(first)
    changed["rows"][0][0] = 77.0
    part.write_text(part.read_text().replace(first, json.dumps(changed)))
    result = call(genres, "-o", table, "--jobs", 1)
    assert "resuming: 1 of 3 recordings were done before" in result.stderr
    assert [row[FEATURE_NAMES[0]] == "77.0" for row in rows_of(table)] == [True, False, False]


def test_a_changed_recording_is_computed_again(genres: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    seen: list[int] = []
    clips = find_clips([genres / "rock"], {"b": "rock"})
    (tmp_path / "table.csv.part").write_text("")
    build_table(clips, table, Windows(), progress=lambda progress: seen.append(progress.resumed))
    os.utime(clips[0].path, ns=(0, 0))
    build_table(clips, table, Windows(), progress=lambda progress: seen.append(progress.resumed))
    assert set(seen) == {0}


def test_flat_folder_with_labels(write_sound: WriteSound, tmp_path: Path) -> None:
    folder = write_sound("clips/x.wav").parent
    write_sound("clips/y.mp3")
    labels = tmp_path / "labels.csv"
    # As in the published table, whatever the container is now.
    labels.write_text("filename,length,label\nx.wav,1,rock\ny.wav,1,jazz\nz.wav,1,pop\n")
    assert call(folder, "-o", tmp_path / "t.csv", "--jobs", 1, "--labels", labels).exit_code == 0
    assert [(row["filename"], row["label"]) for row in rows_of(tmp_path / "t.csv")] == [
        ("x.0.wav", "rock"),
        ("y.0.wav", "jazz"),
    ]
    without = call(folder, "-o", tmp_path / "u.csv")
    assert without.exit_code == 1
    assert "lies in no genre folder" in without.output
    assert call(folder / "x.wav", "-o", tmp_path / "u.csv", "--jobs", 1, "--no-labels", "--whole").exit_code == 0
    (row,) = rows_of(tmp_path / "u.csv")
    assert "label" not in row
    assert (row["filename"], row["length"]) == ("x.wav", str(round(3.1 * 22_050)))


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("name,label\na,b\n", "columns filename and label"),
        ("filename,label\na.wav,\n", "line 2 has no label"),
        ("filename,label\na.wav,rock\na.wav,jazz\n", "line 3 labels a.wav jazz"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, content: str, messages: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(AudioError, match=messages):
        read_labels(path)


def test_recordings_of_one_name_are_told_apart(write_sound: WriteSound) -> None:
    folder = write_sound("genres/rock/a.wav").parent.parent
    write_sound("genres/jazz/a.wav")
    write_sound("genres/jazz/a.flac")
    write_sound("genres/jazz/b.flac")
    stems = {str(clip.inside): clip.stem for clip in find_clips([folder, folder / "jazz"], None)}
    assert stems == {
        "jazz/a.flac": "jazz.a.flac",
        "jazz/a.wav": "jazz.a.wav",
        "jazz/b.flac": "b",
        "rock/a.wav": "rock.a",
    }


def test_whole_recordings_with_numbers_at_their_ends_stay_apart(write_sound: WriteSound, tmp_path: Path) -> None:
    names = ["Sonata Op.1", "Sonata Op.2", "Sonata Op.2.0", "Sonata Op.02", "Sonata Op", "take.10"]
    for name in names:
        folder = write_sound(f"calm/{name}.wav").parent
    assert call(folder, "-o", tmp_path / "t.csv", "--jobs", 1, "--no-labels", "--whole").exit_code == 0
    rows = [row["filename"] for row in rows_of(tmp_path / "t.csv")]
    assert sorted(map(track_of, rows)) == sorted(names)


def test_a_name_that_is_not_utf8_is_written_with_escapes(write_sound: WriteSound, tmp_path: Path) -> None:
    path = write_sound("genres/rock/a.wav")
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/latin\xe9.wav"))
    for table in ("t.csv", "t.parquet"):
        result = call(path.parent.parent, "-o", tmp_path / table, "--jobs", 1)
        assert result.exit_code == 0, result.output
    assert [row["filename"] for row in rows_of(tmp_path / "t.csv")] == ["latin\\xe9.0.wav"]


@pytest.mark.parametrize("holder", ["genres_original", "Data/genres_original", "a b/c"])
def test_a_folder_too_high(write_sound: WriteSound, tmp_path: Path, holder: str) -> None:
    for name in ("blues/a", "rock/b", "rock/album/c"):
        write_sound(f"top/{holder}/{name}.wav")
    (tmp_path / "top" / "features.csv").write_text("filename,label\n")
    result = call(tmp_path / "top", "-o", tmp_path / "t.csv")
    assert result.exit_code == 1
    line = next(words for words in result.output.split("give: ") if words.startswith("genrestack features"))
    _, _, folder, *_ = shlex.split(line)
    assert Path(folder) == tmp_path / "top" / holder
    assert {clip.label for clip in find_clips([Path(folder)], None)} == {"blues", "rock"}
    assert {clip.label for clip in find_clips([tmp_path / "top"], None, labelled=False)} == {None}


def test_sides_of_a_split_are_no_genres(write_sound: WriteSound, tmp_path: Path) -> None:
    for name in ("train/blues/a", "train/rock/b", "Test/blues/c", "Test/rock/d"):
        write_sound(f"top/{name}.wav")
    with pytest.raises(AudioError, match=r"folders Test, train are sides of a split.*genrestack features \S+/Test \S+"):
        find_clips([tmp_path / "top"], None)
    clips = find_clips([tmp_path / "top" / "train", tmp_path / "top" / "Test"], None)
    assert [clip.label for clip in clips] == ["blues", "rock", "blues", "rock"]


@pytest.mark.parametrize(
    "names",
    [
        ["jazz/a", "rock/b"],
        ["jazz/one/a", "jazz/two/b", "rock/one/c"],
        ["jazz/a", "jazz/album/b", "jazz/other/c"],
        ["jazz/album/a"],
        ["test/a", "train/b"],
    ],
)
def test_folders_that_are_genres(write_sound: WriteSound, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write_sound(f"top/{name}.wav")
    found = find_clips([tmp_path / "top"], None)
    assert [clip.label for clip in found] == [name.split("/")[0] for name in sorted(names)]


def test_one_genre_among_several_may_have_albums(write_sound: WriteSound, tmp_path: Path) -> None:
    for name in ("one/jazz/first/a", "one/jazz/second/b", "two/rock/first/c", "two/rock/second/d"):
        write_sound(f"{name}.wav")
    labels = [clip.label for clip in find_clips([tmp_path / "one", tmp_path / "two"], None)]
    assert labels == ["jazz", "jazz", "rock", "rock"]


def test_a_crashing_decoder_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.wav", "crash.wav", "b.wav", "c.wav", "d.wav")]
    outcomes = dict(compute_all(paths, Windows(), jobs=2, work=nothing_or_crash))
    assert set(outcomes) == set(paths)
    assert "brings the decoder down" in str(outcomes.pop(tmp_path / "crash.wav"))
    assert set(outcomes.values()) == {NOTHING}


def test_what_cannot_be_begun(genres: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("precious")
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, status, messages in [
        ([genres, "-o", tmp_path / "there.csv"], 2, "give --overwrite"),
        ([genres, "-o", tmp_path / "t.txt"], 1, ".csv or .parquet"),
        ([genres, "-o", tmp_path / "no" / "t.csv"], 1, "no folder"),
        ([empty, "-o", tmp_path / "t.csv"], 1, "has no recordings"),
        ([tmp_path / "nowhere", "-o", tmp_path / "t.csv"], 1, "no such file or folder"),
        ([genres, "-o", tmp_path / "t.csv", "--window", "0"], 1, "cannot be used"),
        ([genres / "jazz" / "short.wav", "--no-labels", "-o", tmp_path / "t.csv", "--jobs", 1], 1, "no table"),
    ]:
        result = call(*arguments)
        assert (result.exit_code, messages in result.output) == (status, True), result.output
    assert (tmp_path / "there.csv").read_text() == "precious"
    assert np.array_equal(sorted(tmp_path.glob("t.*")), [])
