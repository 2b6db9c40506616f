"""The demo's parts: commands run as a transcript, a server beside them, the speed measured."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pandas as pd
import pytest
from server.tiny_bundle import FEATURES, TinyStack, draw_rows, write_tiny

from genrestack import Client
from genrestack._demo import Places, _write_tables, measure
from genrestack._processes import Background, _listens, free_port, run_command


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
from genrestack._processes import Background
from genrestack.commands.demo import _terminate
signal.signal(signal.SIGTERM, _terminate)
with Background("serve", {str(models)!r}, "--port", {port}, log=Path({str(tmp_path / "serve.log")!r})) as server:
    server.wait_for_port({port})
    time.sleep(60)
"""
    demo = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not _listens(port):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(demo.pid, number)
    assert demo.wait(30) != 0
    assert not _listens(port)


def test_speed_is_measured_over_the_wire(real_server: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame(draw_rows(90), columns=list(FEATURES)).to_csv(path, index=False)
    with Client(real_server) as client:
        assert measure(client, path, client.model("tiny"), seconds=0.1) > 0


def test_the_digits_are_written_with_some_kept_aside(tmp_path: Path) -> None:
    places = Places(tmp_path)
    _write_tables(places)
    table, unseen = pd.read_csv(places.table), pd.read_csv(places.unseen)
    assert (len(table), len(unseen)) == (1700, 97)
    assert list(table)[:2] == ["pixel_0_0", "pixel_0_1"]
    assert set(table["label"]) == {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}


@pytest.mark.long
def test_the_whole_way(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "genrestack", "demo", "--dir", str(tmp_path / "demo")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("train", "serve", "health", "predict"):
        assert f"\n$ genrestack {step} " in done.stdout
    assert "SERVING" in done.stdout
    assert "rows/s in batches of 256" in done.stdout
    assert [path.name for path in (tmp_path / "demo" / "models" / "digits").iterdir()] == ["1"]
