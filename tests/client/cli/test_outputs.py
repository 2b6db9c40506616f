"""Standard output whose reader left, full or closed, and standard error likewise: every command, no traceback."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hard.lengths import LONG
from server.bundles.tiny import FEATURES, TinyStack, write_tiny
from server.running.live import end_process
from support.samples.songs import write_recording

from genrestack import Client
from genrestack.cli import main
from genrestack.cli.demo.processes import free_port

RUNNER = Path(__file__).parents[1] / "outputs.py"
WAYS = ("as ever", "reader gone", "disk full", "output closed", "errors closed", "errors full")
SHORT = WAYS[1:3]
NAMES = {entry.name for entry in entry_points(group=main.GROUP)}
LINE = "Error: cannot write the output ({}); free some space, or send it elsewhere\n"


def run(cases: list[tuple[list[str], str]], folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, RUNNER], input=json.dumps(cases), capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def check(commands: list[list[str]], folder: Path, ways: tuple[str, ...] = WAYS) -> None:
    """Run commands in these ways; the first may be how they go where all can be written."""
    told = iter(run([(arguments, way) for arguments in commands for way in ways], folder))
    for arguments in commands:
        known: dict[str, Any] = {}
        for way in ways:
            seen = next(told)
            if way == "as ever":
                known = seen
                assert known["out"], known
            else:
                _check_one(way, seen, known, f"{arguments}, {way}: {seen}")


def _check_one(way: str, seen: dict[str, Any], known: dict[str, Any], about: str) -> None:
    assert "Traceback" not in seen["err"], about
    assert "Exception ignored" not in seen["err"], about
    if way == "reader gone":
        assert seen["status"] == 128 + signal.SIGPIPE, about
        assert "Error" not in seen["err"], about
    elif way.startswith("errors"):
        assert seen["status"] == known["status"], about
        assert len(seen["out"].splitlines()) == len(known["out"].splitlines()), about
    else:
        reason = "No space left on device" if way == "disk full" else "Bad file descriptor"
        assert seen["status"] == 1, about
        assert seen["err"].endswith(LINE.format(reason)), about


def test_help_of_every_command(tmp_path: Path) -> None:
    check([["--help"]], tmp_path)
    check([["--version"], *([name, "--help"] for name in sorted(NAMES))], tmp_path, ("disk full",))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([",".join(FEATURES), *["0.1,0.2,0.3,0.4"] * 300]) + "\n", encoding="utf-8")
    return path


def test_what_is_quick(server_apart: str, table: Path) -> None:
    asked = ["--server", server_apart]
    check([["completion", "bash"], ["serve", "--print-config"]], table.parent, WAYS if LONG else (WAYS[0], *WAYS[2:]))
    short = [
        ["token"],
        ["health", *asked],
        ["models", *asked],
        ["predict", "t.csv", *asked],
        ["predict", "t.csv", "--csv", *asked],
        ["bench", "--seconds", "0.05", "--warm-up", "0", *asked],
    ]
    if LONG:
        short += [["models", "--json", *asked], ["predict", "t.csv", "--json", *asked]]
    check(short, table.parent, SHORT)


def test_errors_that_cannot_be_said_have_their_exit_status(tmp_path: Path) -> None:
    for arguments, status in ((["health", "--server", "http://a"], 1), (["helth"], 2)):
        told = run([(arguments, way) for way in WAYS], tmp_path)
        assert [seen["status"] for seen in told] == [status] * len(WAYS), (arguments, told)


@pytest.mark.skipif(not LONG, reason="takes minutes: fits models")
def test_what_takes_its_time(tmp_path: Path) -> None:
    (tmp_path / "band").mkdir()
    write_recording(tmp_path / "band" / "song.wav", "band")
    check([["features", "band", "-o", "t.csv", "--no-labels", "--overwrite"]], tmp_path, SHORT)
    check([["doctor"]], tmp_path, SHORT)
    (done,) = run([(["demo"], "as ever")], tmp_path)
    assert done["status"] == 0, done
    (fitted,) = (tmp_path / "demo").glob("run-*")
    check([["report", str(fitted)]], tmp_path, SHORT)
    check([["export", str(fitted), "--models", "exported", "--name", "m"]], tmp_path, SHORT)
    check([["demo", "--dir", "again"]], tmp_path, SHORT)
    check([["train", "demo/songs.csv", "--preset", "demo", "--models", "new", "--compare", "none"]], tmp_path, SHORT)


@pytest.mark.parametrize("way", ["reader gone", "disk full", "output closed"])
def test_a_server_serves_whether_or_not_its_announcement_is_read(tmp_path: Path, way: str) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw())
    port = free_port(0)
    redirected = {"reader gone": "| true", "disk full": "> /dev/full", "output closed": ">&-"}[way]
    # The status of the server, not of what it is piped into.
    shell = f'set -o pipefail; "$0" -m genrestack serve models --port {port} --threads 1 {redirected}'
    (tmp_path / "models").symlink_to(tmp_path)
    process = subprocess.Popen(
        ["bash", "-c", shell, sys.executable], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        with Client(f"127.0.0.1:{port}") as client:
            client.wait_until_ready(60)
            assert len(client.predict([[0.1, 0.2, 0.3, 0.4]])) == 1
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        end_process(process)
    assert "Traceback" not in err
    if way != "reader gone":
        # Of a pipe, the first lines may still have been taken.
        assert "cannot write where this server listens to standard output" in err
