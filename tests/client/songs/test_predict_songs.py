"""`genrestack predict` for songs, over the real command and the real server."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from server.running.live import running_server
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler
from support.samples.songs import KINDS, write_recording
from support.samples.stacks import FittedStack, export

from genrestack import Client, SongPrediction
from genrestack.cli.main import run
from genrestack.cli.songs.plot import bands, draw, make_figure
from genrestack.cli.songs.timeline import bar, cells, cells_per_line, clock, grouped, letters, level, percent
from genrestack_audio import FEATURE_NAMES


def ask(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Six seconds of hiss, then six of an organ."""
    return write_recording(tmp_path / "song.wav", "hiss", "organ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A song of each kind, and a file that is none."""
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    for kind in KINDS:
        write_recording(folder / f"{kind}.wav", kind)
    (folder / "more" / "cover.mp3").write_bytes(b"no music")
    return folder


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, song_server: str) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("GENRESTACK_SERVER", song_server)


def test_one_song_is_told_in_detail(capsys: pytest.CaptureFixture[str], song: Path) -> None:
    status, out, err = ask(capsys, "predict", song, "--model", "songs")
    assert status == 0, err
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "song.wav"
    with Client(os.environ["GENRESTACK_SERVER"]) as client:
        top = client.classify_song(song, model="songs").top(3)
    assert [line.split()[:2] for line in lines[1:4]] == [[name, percent(p).split()[0]] for name, p in top]
    assert "mean over 4 windows of 3 s, 0:12; songs/1" in lines
    assert "0:00  HHOO" in lines
    assert any(line.startswith("H hiss  O organ; ▁ to █") for line in lines)
    assert {line.split()[0] for line in lines if line} >= {"knn", "svc"}


def test_json_is_pure_and_complete(capsys: pytest.CaptureFixture[str], song: Path, folder: Path) -> None:
    status, out, err = ask(capsys, "predict", song, folder, "--model", "songs", "--json", "--base")
    told = json.loads(out)
    assert status == 1
    assert (told["model"], told["version"], told["classes"]) == ("songs", 1, list(KINDS))
    assert [Path(song["file"]).name for song in told["songs"]] == ["song.wav", "band.wav", "hiss.wav", "organ.wav"]
    first = told["songs"][0]
    assert [window["start"] for window in first["windows"]] == [0, 3, 6, 9]
    assert [window["predicted"] for window in first["windows"]] == ["hiss", "hiss", "organ", "organ"]
    for part, mean in {"": first["probabilities"], **first["base"]}.items():
        windows = [window["base"][part] if part else window["probabilities"] for window in first["windows"]]
        assert mean == {name: pytest.approx(np.mean([window[name] for window in windows])) for name in KINDS}
    assert (first["seconds"], first["window"], first["hop"]) == (12, 3, 3)
    (failed,) = told["failed"]
    assert failed["file"] == str(folder / "more/cover.mp3")
    assert f"left out {failed['error']}\n" in err


def test_csv_is_pure_and_complete(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    shutil.rmtree(folder / "more")
    status, out, err = ask(capsys, "predict", folder, "--model", "songs", "--csv", "--base")
    assert status == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["predicted"] for row in rows] == list(KINDS)
    assert [row["windows"] for row in rows] == ["2", "2", "2"]
    for row in rows:
        assert row["probability"] == row[f"p.{row['predicted']}"]
        assert sum(float(row[f"svc.{kind}"]) for kind in KINDS) == pytest.approx(1, abs=1e-6)


def test_a_folder_is_a_line_each_and_a_summary(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    phone = write_recording(folder / "phone\x1b[2J.wav", "hiss", rate=8000)
    status, out, err = ask(capsys, "predict", folder, "--model", "songs", "--base")
    assert status == 1
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["song", "genre", "p", "length", "timeline", "runners-up"]
    for number, (kind, letter) in enumerate({"band": "BB", "hiss": "HH", "organ": "OO"}.items(), start=1):
        assert lines[number][:2] == [f"{kind}.wav", kind]
        assert {"0:06", letter, "knn"} <= set(lines[number])
    assert out.splitlines()[-1].startswith("4 songs, 0:24 in all: ")
    assert out.splitlines()[-1].endswith("; 1 left out, named above")
    assert "left out" in err
    assert "cover.mp3: " in err
    assert "! phone\\x1b[2J.wav: recorded at 8,000 Hz" in err
    assert phone.exists()
    assert "\x1b[2J" not in out + err


def test_one_bad_song_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.ogg").write_text("words", encoding="utf-8")
    for name, message in {"a.ogg": "a.ogg: is", "gone.mp3": "there is no such file"}.items():
        status, out, err = ask(capsys, "predict", tmp_path / name, "--model", "songs")
        assert (status, out) == (1, "")
        assert err.startswith(f"Error: {tmp_path / name}: ")
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("song.wav", "table.csv"), "table.csv is a table and song.wav is none; give tables or songs"),
        (("song.wav", "--label", "genre"), "--label is for tables, not for songs"),
        (("table.csv", "--plot", "a.png"), "--plot is for songs, not for tables"),
        (("song.wav", "album", "--plot", "a.png"), "--plot draws one song, and these are 5"),
        (("song.wav", "--plot", "a.txt"), "has to end in .png, .svg, .pdf"),
        (("song.wav", "--plot", "gone/a.png"), "there is no folder gone"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_misuse_is_told_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    song: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(song.parent)
    Path("table.csv").write_text("a\n1\n", encoding="utf-8")
    status, out, err = ask(capsys, "predict", *arguments, "--server", "127.0.0.1:1")
    assert (status, out) == (2, "")
    assert message in err


def test_one_line_for_an_odd_window_an_empty_folder_or_a_model_of_something_else(
    capsys: pytest.CaptureFixture[str], song: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    wrong = {
        (song, "--window", "0"): "a window of 0 s",
        (tmp_path / "empty",): "holds no recordings",
        (song, "--model", "tiny"): "model tiny/1 does not take audio features",
    }
    for arguments, message in wrong.items():
        status, out, err = ask(capsys, "predict", *arguments, "--json")
        assert (status, out) == (1, "")
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("library", ["librosa", "matplotlib"])
def test_a_missing_extra_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, song: Path, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    status, out, err = ask(capsys, "predict", song, "--plot", song.with_suffix(".png"))
    assert (status, out, err) == (1, "", 'Error: genrestack predict needs: pip install "genrestack[audio]"\n')


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_picture(capsys: pytest.CaptureFixture[str], song: Path, suffix: str) -> None:
    # No formula, and letters that the font lacks.
    odd = song.rename(song.with_name("a $x$ 歌.wav"))
    picture = song.with_name(f"picture{suffix}")
    status, _, err = ask(capsys, "predict", odd, "--model", "songs", "--plot", picture)
    assert status == 0, err
    content = picture.read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])


def test_a_picture_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], song: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken.png").mkdir()
    status, _, err = ask(capsys, "predict", song, "--model", "songs", "--plot", tmp_path / "taken.png")
    assert status == 1
    assert f"cannot write {tmp_path / 'taken.png'} (Is a directory); choose another file" in err


@pytest.fixture
def answer(song: Path, song_server: str) -> SongPrediction:
    with Client(song_server) as client:
        return client.classify_song(song, model="songs")


def test_what_the_picture_shows(answer: SongPrediction) -> None:
    axes = make_figure(answer).axes[0]
    assert axes.get_title(loc="left") == f"song.wav: {answer.label}, {percent(float(answer.probabilities.max()))}"
    shown = bands(answer, answer.windows.probabilities.astype(float))
    assert shown[0].name == answer.label
    assert sum(band.heights for band in shown) == pytest.approx(np.ones(4), abs=1e-6)
    assert len({band.colour for band in shown}) == len(shown)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text().split()[0] for text in legend.get_texts()] == [b.name.split()[0] for b in reversed(shown)]
    assert axes.get_xlim() == (0, 12)
    assert [axes.xaxis.get_major_formatter()(seconds, None) for seconds in (0, 9, 75)] == ["0:00", "0:09", "1:15"]


def test_long_songs_are_taken_together(answer: SongPrediction, tmp_path: Path) -> None:
    size, means = grouped(answer, 3)
    assert size == 2
    np.testing.assert_allclose(means[0], answer.windows.probabilities[:2].mean(axis=0), atol=1e-7)
    assert [(cell.start, cell.label) for cell in cells(answer, 2)[1]] == [(0, "hiss"), (6, "organ")]
    assert len(cells(answer, 480)[1]) == 4
    draw(answer, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_letters_are_unique_and_their_own_where_they_can_be() -> None:
    genres = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
    assert "".join(letters(genres).values()) == "BCcDHJMPRr"
    many = letters([f"a{number}" for number in range(70)])
    assert len(set(list(many.values())[:62])) == 62
    assert many["a69"] == "·"
    assert letters(["метал", "a"]) == {"метал": "М", "a": "A"}


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (clock(0), "0:00"),
        (clock(221.9), "3:41"),
        (clock(3723), "1:02:03"),
        (percent(0), "0 %"),
        (percent(0.001), "<1 %"),
        (percent(0.934), "93 %"),
        (percent(0.997), ">99 %"),
        (percent(1), "100 %"),
        (level(0) + level(0.5) + level(1), "▁▅█"),
        (bar(0.5, 4), "██"),
        (bar(0.03125, 4), "▏"),
        (str(cells_per_line(3, 60)), "60"),
        (str(cells_per_line(7, 60)), "60"),
        (str(cells_per_line(1.5, 60)), "40"),
    ],
)
def test_time_and_probability_as_text(shown: str, text: str) -> None:
    assert shown == text


def fit_clips(data: Path) -> FittedStack:
    """Fit nearest neighbours on the whole 3-second table."""
    table = pd.read_csv(data / "features_3_sec.csv.gz")
    rows, labels = table[list(FEATURE_NAMES)].to_numpy(float), table["label"].to_numpy(str)
    scaler = MinMaxScaler().fit(rows)
    knn = KNeighborsClassifier(n_neighbors=2, weights="distance", p=1)
    stack = StackingClassifier(
        [("knn", knn)], final_estimator=LogisticRegression(), cv=StratifiedKFold(3, shuffle=True, random_state=0)
    ).fit(scaler.transform(rows), labels)
    unseen = (rows[::100] + rows[50::100][: len(rows[::100])]) / 2
    classes = tuple(str(name) for name in stack.classes_)
    return FittedStack(stack, scaler, FEATURE_NAMES, classes, rows, unseen, [])


def test_ten_known_clips_come_out_as_their_own_genre(
    capsys: pytest.CaptureFixture[str], shared_data: Path, tmp_path: Path
) -> None:
    """The model has these very clips in it: this checks the path from file to answer, and nothing of its accuracy."""
    export(fit_clips(shared_data), tmp_path, "gtzan")
    with running_server(tmp_path) as running:
        status, out, err = ask(
            capsys, "predict", shared_data / "audio", "--server", f"127.0.0.1:{running.port}", "--json"
        )
    assert status == 0, err
    songs: list[dict[str, Any]] = json.loads(out)["songs"]
    assert len(songs) == 10
    for song in songs:
        genre = Path(song["file"]).name.partition(".")[0]
        assert song["predicted"] == genre
        assert [window["predicted"] for window in song["windows"]] == [genre] * 10
        assert (song["outside"], song["warnings"]) == ([], [])
