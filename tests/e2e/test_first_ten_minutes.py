"""The quickstart, followed word for word on a machine where it is installed; then every example, in the same folder."""

import ast
import csv
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from server.running.live import running_server
from support.followed import blocks, commands, follow, scripts
from support.tools import need

from genrestack_bundle import list_versions, open_bundle
from genrestack_proto.v1.model_pb2 import PRECISION_DOUBLE

EXAMPLES = ROOT / "examples"
QUICKSTART = ROOT / "docs" / "quickstart.md"
# The demo and the training of wines are minutes on a machine that has other things to do.
pytestmark = pytest.mark.timeout(3600)
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))
INSTALLATION = [
    "python3 -m venv .venv",
    ". .venv/bin/activate",
    'pip install --constraint constraints.txt ".[train,server,audio]"',
]
BEFORE = ["genrestack demo", "genrestack serve demo/models &"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the quickstart was followed, and what it printed."""
    folder = tmp_path_factory.mktemp("quickstart")
    (folder / "examples").symlink_to(EXAMPLES)
    lines = commands(QUICKSTART)
    assert lines[:4] == [*INSTALLATION, BEFORE[0]]
    return folder, follow(lines[3:], folder, scripts(QUICKSTART))[0]


@pytest.fixture(scope="module")
def here(followed: tuple[Path, str]) -> Path:
    return followed[0]


@pytest.fixture(scope="module")
def address(here: Path) -> Iterator[str]:
    with running_server(here / "demo" / "models") as running:
        yield f"localhost:{running.port}"


def commands_in(name: str) -> list[str]:
    """Return the commands in an example's first lines."""
    script = ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    docstring = ast.get_docstring(script) or ""
    return [line.strip()[2:] for line in docstring.splitlines() if line.strip().startswith("$ ")]


def said_by(name: str, here: Path, address: str) -> list[str]:
    """Run an example as its first lines say, at the server that is there, and give its lines."""
    lines = commands_in(name)
    assert lines[:2] == BEFORE
    (command,) = [line for line in lines[2:] if not line.startswith("pip install ")]
    python, *arguments = shlex.split(command)
    assert (python, arguments[0]) == ("python", f"examples/{name}.py")
    argv = [sys.executable, "-W", "error::DeprecationWarning:__main__", *arguments, address]
    done = subprocess.run(argv, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_quickstart_ends_as_it_says(followed: tuple[Path, str]) -> None:
    folder, said = followed
    assert "240 of 240 labels" in said
    assert "the style it was made in" in said
    assert said.count("song.flac\n") >= 3
    shown = [line for block in blocks(QUICKSTART, "console") for line in block.splitlines() if "SERVING" in line]
    assert len(shown) == 2
    for line in shown:
        assert line.removeprefix("localhost:50051") in said
    assert "{'knn': '" in said
    assert list_versions(folder / "demo" / "models" / "synthetic") == [1, 2]
    assert open_bundle(folder / "demo" / "models" / "synthetic" / "2").model.precision == PRECISION_DOUBLE


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_quickstart_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installation and all, in a copy of what is under version control."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.rstrip("\0").split("\0"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    printed, _ = follow(commands(QUICKSTART), tmp_path, scripts(QUICKSTART))
    assert "the style it was made in" in printed
    (installed,) = (tmp_path / ".venv").glob("lib/python*/site-packages/genrestack")
    assert installed.is_dir()


def test_every_example_is_tried_and_listed() -> None:
    tried = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in (*SCRIPTS, *FOLDERS):
        assert name in tried, f"examples/{name} has no test here: write test_{name}"
        assert f"]({name}" in index or f"](./{name}" in index, f"examples/{name} is not in examples/README.md"


def test_serve_and_predict(here: Path, address: str) -> None:
    said = said_by("serve_and_predict", here, address)
    assert said[0] == "synthetic/2 tells 10 styles apart by 57 features"
    assert len([line for line in said if "█" in line]) == 10
    assert any(line.startswith("refused, as it should be: rows.shape: 2 columns, but synthetic/2") for line in said)
    assert said[-1].endswith(" of 10 right, on music that no training saw")


def test_dataframe(here: Path, address: str) -> None:
    said = said_by("dataframe", here, address)
    assert said[0].startswith("240 rows, ")
    with (here / "demo" / "answers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missed = sum(row["predicted"] != row["label"] for row in rows)
    assert said[0] == f"240 rows, {missed} missed. The surest mistakes:"
    assert len([line for line in said if "█" in line]) == 10


def test_async_predict(here: Path, address: str) -> None:
    said = said_by("async_predict", here, address)
    firsts = ["batch 1", "batch 2", "batch 3", "gave up on one; the server was told"]
    assert [line.split(":")[0] for line in said[:4]] == firsts
    assert said[5].startswith("240 callers at once, all answered")
    assert "".join(said).count("♪") == 240


def test_stream_large_table(here: Path, address: str) -> None:
    said = said_by("stream_large_table", here, address)
    assert said[-1].startswith("96,000 rows in ")
    with (here / "demo" / "streamed.csv").open(newline="", encoding="utf-8") as file:
        streamed = [row["predicted"] for row in csv.DictReader(file)]
    with (here / "demo" / "answers.csv").open(newline="", encoding="utf-8") as file:
        assert streamed == [row["predicted"] for row in csv.DictReader(file)] * 400


def test_song(here: Path, address: str) -> None:
    said = said_by("song", here, address)
    assert [line.split()[0] for line in said[:10]] == [f"0:{second:02}" for second in range(0, 30, 3)]
    assert said[-1].startswith("that sounds like synth-")


def test_open_inference(here: Path, address: str) -> None:
    said = said_by("open_inference", here, address)
    assert said[0].startswith("synthetic takes 57 features and answers label, class_index, probabilities, probab")
    assert [line.split(":")[0] for line in said[1:5]] == ["item 0", "item 1", "item 2", "refused"]
    assert "feature 'chroma_stft_mean' of row 0 is NaN" in said[2]
    assert "inputs[0].shape: 2 columns, but synthetic/2 takes 57" in said[4]
    assert [line.split()[0] for line in said[7:]][::2] == [said[1].split()[2], said[3].split()[2]]


def test_own_pickles(here: Path) -> None:
    (line,) = [line for line in commands_in("own_pickles") if line.startswith("python")]
    assert "exported and verified" in follow([line], here)[0]
    assert list(open_bundle(here / "models" / "iris" / "1").model.classes) == ["setosa", "versicolor", "virginica"]


def test_tls_and_tokens(here: Path) -> None:
    need(shutil.which("openssl"), "openssl (Debian package openssl)")
    said = follow(commands(EXAMPLES / "tls_and_tokens" / "README.md"), here)[0].splitlines()
    assert [line.split(":")[0] for line in said[-6:]] == [
        "with a token",
        "and 3 more through a stream",
        "health is open to all",
        "without a token",
        "without TLS",
        "one was let in, two were not, and each was told why",
    ]
    assert "give a token: token= or token_file=" in said[-3]
    assert "add --tls (tls=True)" in said[-2]


def test_wine(here: Path) -> None:
    said = follow(commands(EXAMPLES / "wine" / "README.md"), here)[0].splitlines()
    assert said[0] == "142 bottles in wine/cellar.csv, 36 on wine/table.csv"
    glasses = [line for line in said if "→" in line]
    right = sum("no, it was a" not in line for line in glasses)
    assert said[-1] == f"{right} of 36 bottles named right, blind. Salute!"
    # Three in four would be far below what any of its parts reaches alone.
    assert right > 27
