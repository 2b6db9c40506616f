"""The demo's parts: commands run as a transcript, a server beside them, the speed measured."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import soundfile
from server.bundles.tiny import FEATURES, TinyStack, draw_rows, write_tiny
from support.interrupts import interruptible
from support.waiting import GUARD_S, until

from genrestack import Client, Prediction, SongPrediction
from genrestack.cli.demo.demo import SONG_STYLE, Places, _facts, run_demo, write_music
from genrestack.cli.demo.figures import DemoResult, Unheard, count_right, measure
from genrestack.cli.demo.processes import Background, _listens, free_port, run_command


@pytest.fixture
def models(tmp_path: Path, real_stack: TinyStack) -> Path:
    write_tiny(tmp_path / "models", "tiny", real_stack)
    return tmp_path / "models"


def test_a_server_runs_beside_the_commands_and_is_gone_after(
    capfd: pytest.CaptureFixture[str], models: Path, tmp_path: Path
) -> None:
    port = free_port(0)
    with Background("serve", models, "--port", port, log=tmp_path / "serve.log") as server:
        server.wait_for_port(port)
        assert free_port(port) != port
        run_command("health", "--server", f"127.0.0.1:{port}", "--wait", 30)
    assert not _listens(port)
    said = capfd.readouterr().out
    assert f"$ genrestack serve {models} --port {port} &\n" in said
    assert f"$ genrestack health --server 127.0.0.1:{port} --wait 30\n127.0.0.1:{port}: SERVING\n" in said


def test_settings_of_other_servers_are_left_out(
    capfd: pytest.CaptureFixture[str], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {
        "GENRESTACK_TLS": "1", "GENRESTACK_CA": "/no/such.pem", "GENRESTACK_TOKEN_FILE": "/no/such",
        "GENRESTACK_SERVER_NAME": "elsewhere", "GENRESTACK_SERVE_HOST": "192.0.2.1",
        "GENRESTACK_SERVE_TLS_CERT": "/no/such.pem", "GENRESTACK_SERVE_CONFIG": "/no/such.toml",
    }  # fmt: skip
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    port = free_port(0)
    with Background("serve", models, "--port", port, log=tmp_path / "serve.log") as server:
        server.wait_for_port(port)
        run_command("health", "--server", f"127.0.0.1:{port}", "--wait", 30)
    assert f"127.0.0.1:{port}: SERVING\n" in capfd.readouterr().out


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(
        click.ClickException, match=r"`genrestack health --server 127.0.0.1:1` failed with exit status 1"
    ):
        run_command("health", "--server", "127.0.0.1:1")


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    server = Background("serve", missing, "--port", free_port(0), log=tmp_path / "serve.log")
    with pytest.raises(click.ClickException, match=r"ended with exit status 2(.|\n)*none"), server:
        server.wait_for_port(free_port(0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_goes_down_with_the_demo(models: Path, tmp_path: Path, number: signal.Signals) -> None:
    port = free_port(0)
    script = f"""
import signal, time
from pathlib import Path
from genrestack.cli.demo.processes import Background
from genrestack.cli.demo.command import _terminate
signal.signal(signal.SIGTERM, _terminate)
# Inherited as ignored where the tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Background("serve", {str(models)!r}, "--port", {port}, log=Path({str(tmp_path / "serve.log")!r})) as server:
    server.wait_for_port({port})
    time.sleep(3600)
"""
    with interruptible():
        demo = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: _listens(port))
    os.kill(demo.pid, number)
    assert demo.wait(GUARD_S) != 0
    assert not _listens(port)


def test_speed_is_measured_over_the_wire(real_server: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame(draw_rows(90), columns=list(FEATURES)).to_csv(path, index=False)
    with Client(real_server) as client:
        assert measure(client, path, client.model("tiny"), seconds=0.1) > 0


def test_answers_are_counted_by_row_and_songs_by_name(real_server: str, tmp_path: Path) -> None:
    rows, path = draw_rows(30), tmp_path / "table.csv"
    with Client(real_server) as client:
        labels = client.predict(rows).labels
        frame = pd.DataFrame(rows, columns=list(FEATURES))
        frame.insert(0, "filename", [f"a.{row // 3:03d}.{row % 3}.wav" for row in range(30)])
        frame.assign(label=["none", *labels[1:]]).to_csv(path, index=False)
        assert count_right(client, path, client.model("tiny")) == Unheard(songs=10, rows=30, right=29)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Places:
    places = Places(tmp_path_factory.mktemp("music") / "demo")
    write_music(places)
    return places


def test_whole_songs_are_kept_out_of_training(music: Places) -> None:
    songs, unseen = pd.read_csv(music.songs), pd.read_csv(music.unseen)
    assert (len(songs), len(unseen)) == (960, 240)
    heard, unheard = ({name.rsplit(".", 2)[0] for name in table["filename"]} for table in (songs, unseen))
    assert (len(heard), len(unheard), len(heard & unheard)) == (320, 80, 0)
    assert set(songs["label"].value_counts()) == {96}
    assert set(unseen["label"].value_counts()) == {24}
    assert unseen["label"].head(10).is_unique


def test_the_song_is_made_in_one_of_the_styles(music: Places) -> None:
    assert SONG_STYLE in set(pd.read_csv(music.songs)["label"])
    facts = soundfile.info(music.song)
    assert (facts.frames, facts.samplerate) == (30 * 22_050, 22_050)


@pytest.mark.parametrize(
    ("style", "verdict"), [(SONG_STYLE, "the style it was made in"), ("low", f"but it was made in {SONG_STYLE}")]
)
def test_the_song_is_held_against_its_style(real_server: str, style: str, verdict: str) -> None:
    with Client(real_server) as client:
        info = replace(client.model("tiny"), metrics={"accuracy": 0.75})
    one = np.array([[0.9, 0.1]], dtype=np.float32)
    windows = Prediction(["low"], one, ("low", "high"), "tiny", 1)
    song = SongPrediction(
        "song.flac", style, one[0], windows.classes, "tiny", 1, windows, np.zeros(1), window=3, hop=3, duration=3
    )
    facts = _facts(DemoResult(info, Unheard(10, 30, 15), song, 1000.0), "host:1", Places(Path("demo")))
    assert facts["song.flac"] == f"{style} (90 %), {verdict}; drawn in demo/song.png"
    assert facts["held-out rows"].startswith("0.750 right")
    assert facts["songs never heard"].startswith("0.500 right; 30 rows of 10 songs")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "unseen.csv").mkdir()
    with pytest.raises(click.ClickException) as caught:
        write_music(Places(tmp_path))
    line = f"cannot write {tmp_path / 'unseen.csv'} (Is a directory); choose another folder with --dir"
    assert caught.value.message == line


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(
        click.ClickException, match=r"cannot write into .*demo \(.*\); choose another folder with --dir"
    ):
        run_demo(tmp_path / "file" / "demo")


@pytest.mark.long
def test_the_whole_way(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "genrestack", "demo", "--dir", str(tmp_path / "demo")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("$ genrestack ")]
    assert steps == ["train", "serve", "health", "predict", "predict"]
    assert "SERVING" in done.stdout
    assert "of 240 labelled rows" in done.stdout
    assert "rows/s in batches of 256" in done.stdout
    assert "the style it was made in" in done.stdout
    assert "not real music" in done.stdout
    places = Places(tmp_path / "demo")
    assert places.picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (places.models / "synthetic").iterdir()] == ["1"]
