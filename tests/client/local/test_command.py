"""`genrestack predict --models`: the command without a server."""

import json
import subprocess
import sys
from pathlib import Path

from client.asks import FRAME

from genrestack import Client


def _predict(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "genrestack", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_asks_without_a_server(folder: Path, served: Client, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    FRAME.assign(label="blues").to_csv(table, index=False)
    ways = (["--server", served.target], ["--models", folder], ["--models", folder / "tiny"])
    for form in ("--json", "--csv", "--base"):
        told = [_predict(table, form, *way) for way in ways]
        assert {(done.returncode, done.stdout, done.stderr) for done in told} == {(0, told[0].stdout, told[0].stderr)}
    answer = json.loads(_predict(table, "--json", "--models", folder / "tiny" / "1").stdout)
    assert (answer["model"], answer["version"]) == ("tiny", 1)


def test_the_command_says_what_is_wrong_in_a_line(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    FRAME.to_csv(table, index=False)
    for arguments, status, text in (
        (f"--models {folder} --server localhost:1", 2, "give one of the two"),
        (f"--models {folder} --model gone", 1, "there is no model 'gone'"),
        (f"--models {folder} --version 7", 1, "has no version 7; it has 1, 2"),
        (f"--models {tmp_path}/gone/at/all", 1, "there is no folder"),
    ):
        done = _predict(table, *arguments.split())
        assert done.returncode == status
        assert text in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
