"""What people see at 80 columns and in pipes: nothing wider, no word cut, the figure to go by first and in a box."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from server.bundles.tiny import FEATURES, TinyStack, draw_rows, write_tiny
from server.running.live import running_server
from support.samples.songs import write_recording

import genrestack
from genrestack.cli.main import run
from genrestack.cli.models import _show as show_models
from genrestack.cli.songs.layout import Layout
from genrestack.cli.songs.timeline import letters
from genrestack.cli.terminal import folded
from genrestack.model_info import ModelInfo

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("eighty")
    write_tiny(folder, "a-model-with-a-name-of-some-length", TinyStack.draw())
    write_tiny(folder, "tiny", TinyStack.draw())
    with running_server(folder) as running:
        yield f"127.0.0.1:{running.port}"


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[str, str]:
    assert run([str(argument) for argument in arguments]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def check_width(text: str, width: int = 80) -> None:
    for line in text.splitlines():
        assert cell_len(line) <= width or " " not in line.strip(), line


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_models(capsys: pytest.CaptureFixture[str], server: str) -> None:
    out, _ = told(capsys, "models", "--server", server)
    check_width(out)
    for whole in (
        "a-model-with-a-name-of-some-length/1 (default)",
        "tiny/1",
        "20 of 20 labels",
        "double precision",
        "CPU, 1 thread",
    ):
        assert whole in out
    assert "│ accuracy not measured │" in out


def test_the_figure_to_go_by_is_the_first_thing_said_of_a_model(
    capsys: pytest.CaptureFixture[str], real_server: str
) -> None:
    with genrestack.Client(real_server) as client:
        info = client.model()
    metrics = {"accuracy": 0.9651, "accuracy.track_split": 0.7012, "accuracy.artist_split": 0.5614}
    many: list[ModelInfo] = [
        replace(info, metrics=metrics, provenance=replace(info.provenance, split="random"), classes=GENRES)
    ]
    show_models(many)
    lines = capsys.readouterr().out.splitlines()
    check_width("\n".join(lines))
    assert lines[2] == "│ accuracy 0.561 held out by artist, 0.701 by recording, 0.965 at random │"
    assert all(genre in "\n".join(lines) for genre in GENRES)


@pytest.mark.parametrize("options", [[], ["--base"]], ids=["plain", "base"])
@pytest.mark.parametrize("width", [200, 80, 60, 44])
def test_a_table(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    server: str,
    width: int,
    options: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    path = tmp_path / "songs.csv"
    names = [f"blues.{number:05d}.{number % 10}.wav" for number in range(30)]
    frame = pd.DataFrame(draw_rows(30), columns=list(FEATURES)).assign(filename=names, label="blues")
    frame.to_csv(path, index=False)
    out, _ = told(capsys, "predict", path, "--server", server, "--model", "tiny", *options)
    check_width(out, width)
    lines = out.splitlines()
    assert re.fullmatch(r"│ accuracy 0\.\d{4}: \d+ of 30 labelled rows │", lines[1])
    assert all(name in out for name in names[:20])
    assert set(re.findall(r"blue\w*|jaz\w*|мет\w*", out)) <= {"blues", "jazz", "метал"}


def test_a_pipe_gets_what_a_terminal_does(tmp_path: Path, server: str) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame(draw_rows(3), columns=list(FEATURES)).to_csv(path, index=False)
    command = [sys.executable, "-m", "genrestack", "predict", str(path), "--server", server, "--model", "tiny"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    check_width(piped.stdout)
    assert "\x1b" not in piped.stdout
    ascii_only = subprocess.run(
        [*command, "--base"], capture_output=True, text=True, check=False, env={"PYTHONIOENCODING": "ascii:replace"}
    )
    assert "Traceback" not in ascii_only.stderr


def test_many_songs(capsys: pytest.CaptureFixture[str], song_server: str, tmp_path: Path) -> None:
    names = ["short.wav", "a song of a rather long name that has many words in it.wav", "third.wav", "fourth.wav"]
    for number, name in enumerate(names):
        write_recording(tmp_path / name, "hiss", rate=8000, seed=number)
    out, err = told(capsys, "predict", tmp_path, "--server", song_server, "--model", "songs", "--base")
    check_width(out)
    check_width(err)
    assert all(name in out for name in names)
    assert err.count("! ") == len({line for line in err.splitlines() if line.startswith("! ")})
    # One warning for all of them.
    assert err.count("recorded at 8,000 Hz") == 1
    assert err.replace("\n  ", " ").count(" and 1 more: recorded at") == 1
    assert err.count("outside the ranges") <= 1
    alone, err = told(capsys, "predict", tmp_path / names[1], "--server", song_server, "--model", "songs")
    check_width(alone)
    check_width(err)


def test_letters_begin_the_names_of_genres() -> None:
    for classes in (GENRES, tuple(reversed(GENRES)), ("ambient", "80s", "метал", "электро", "Åarhus", "ska", "soul")):
        for name, letter in letters(classes).items():
            assert name.upper().startswith(letter.upper()), (name, letter)
    assert letters(["synth-breaks", "synth-swing", "synth-ska"]) == {
        "synth-breaks": "B",
        "synth-swing": "S",
        "synth-ska": "s",
    }
    assert letters(["a-", "a-b"]) == {"a-": "A", "a-b": "a"}
    third = letters(["salsa", "ska", "soul", "o"])
    assert len(set(third.values())) == 4
    assert (third["salsa"], third["ska"], third["o"]) == ("S", "s", "O")


@pytest.mark.parametrize("width", [30, 60, 80, 120, 300])
def test_a_layout_fits_or_is_the_smallest(width: int) -> None:
    smallest = Layout.fitting(0, ["x" * 50], GENRES)
    for longest in (3, 20, 70):
        chosen = Layout.fitting(width, ["x" * longest], GENRES)
        assert chosen.width <= width or (chosen.cells, chosen.runners_up) == (smallest.cells, smallest.runners_up)
    assert Layout.fitting(300, ["x"], GENRES).cells == 20


def test_text_is_broken_between_words_alone() -> None:
    rng = np.random.default_rng(0)
    for width in (1, 10, 80):
        words = ["w" * int(length) for length in rng.integers(1, 30, 50)]
        lines = list(folded("  " + " ".join(words), width))
        assert " ".join(lines).split() == words
        assert all(len(line) <= width or len(line.split()) == 1 for line in lines)
