"""The wheel with its base dependencies alone, in an environment of its own: the client and nothing more."""

import csv
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT
from server.running.live import Running, running_server
from support.samples.stacks import FittedStack
from support.tools import need

HEAVY = ("tensorflow", "sklearn", "onnxruntime", "onnx", "pandas")
ROUND_TRIP = """
import sys
from google.protobuf import __version__ as protobuf
from genrestack import Client, InvalidInput
with Client(sys.argv[1], timeout=30) as client:
    names = client.model("digits").feature_names
    answer = client.predict([[1.0] * len(names)])
    try:
        client.predict([[1.0]], model="digits")
    except InvalidInput as error:
        print(protobuf, len(answer), client.health(), error.violations[0].field)
"""


@dataclass(frozen=True)
class Bare:
    """An environment with nothing but the wheel and what it needs."""

    folder: Path

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs, far from this project's sources."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GENRESTACK_"))}
        program = self.folder / "bin" / arguments[0]
        return subprocess.run(
            [program, *arguments[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.folder,
            env=kept,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release does."""
    folder = tmp_path_factory.mktemp("wheel")
    argv: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


def install(folder: Path, *arguments: str | Path) -> Bare:
    """Make an environment; the packages come from where pip is told to look for them."""
    venv.create(folder, symlinks=True)
    argv: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "--retries",
        "1",
        "install",
    ]
    done = subprocess.run(
        [*argv, "--quiet", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    unreachable = "Could not find a version" in done.stderr or "ConnectionError" in done.stderr
    need(not (done.returncode and unreachable), "a package registry that pip can reach")
    assert done.returncode == 0, done.stderr
    return Bare(folder)


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """The versions that the project pins."""
    pins = ROOT / "constraints.txt"
    pinned: list[str | Path] = ["--constraint", pins] if pins.is_file() else []
    return install(tmp_path_factory.mktemp("bare"), wheel, *pinned)


@pytest.fixture(scope="module")
def newest(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """The newest versions that the wheel allows: generated code meets the next protobuf."""
    return install(tmp_path_factory.mktemp("newest"), wheel, "--upgrade", "protobuf>=7,<8")


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Running]:
    """The real server, outside of those environments."""
    with running_server(models_dir) as running:
        yield running


def test_the_client_brings_in_nothing_heavy(bare: Bare) -> None:
    everything = "import sys, genrestack; [getattr(genrestack, name) for name in genrestack.__all__]"
    listing = f"{everything}; print([module for module in {HEAVY} if module in sys.modules])"
    done = bare.run("python", "-c", listing)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    installed = f"import importlib.util as u; print([m for m in {HEAVY} if u.find_spec(m)])"
    assert bare.run("python", "-c", installed).stdout == "[]\n"


def test_help_lists_every_command(bare: Bare) -> None:
    done = bare.run("genrestack", "--help")
    assert done.returncode == 0, done.stderr
    for name in ("train", "export", "serve", "predict", "models", "health", "demo", "doctor", "completion"):
        assert f"\n  {name} " in done.stdout
    assert bare.run("genrestack", "predict", "--help").returncode == 0


def test_the_doctor_looks_at_what_there_is(bare: Bare, server: Running) -> None:
    """Without any extra there is nothing to fix, and what could be installed stands there."""
    done = bare.run(
        "genrestack", "doctor", "--json", "--port", "1024", "--timeout", "40", "--server", f"127.0.0.1:{server.port}"
    )
    assert done.stderr == ""
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert [name for name, finding in findings.items() if finding["state"] == "problem"] == []
    assert done.returncode == 0
    for extra in ("server", "train", "audio", "ray", "otel", "plot", "tags"):
        finding = findings[f"extra {extra}"]
        assert (finding["state"], finding["advice"]) == ("note", f'pip install "genrestack[{extra}]"')
    assert "extra dev" not in findings
    assert findings["server"]["found"].endswith("is SERVING: digits/1")
    assert {"cpus", "memory"} <= set(findings)
    assert not {"onnxruntime", "keras", "libsndfile"} & set(findings)


def test_completion_needs_nothing_more(bare: Bare) -> None:
    done = bare.run("genrestack", "completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete -o nosort" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extras"),
    [
        (("train", "x.csv"), "train"),
        (("export", "run"), "train"),
        (("serve",), "server"),
        (("demo",), "train,server,audio"),
    ],
)
def test_a_missing_extra_is_one_line(bare: Bare, arguments: tuple[str, ...], extras: str) -> None:
    done = bare.run("genrestack", *arguments)
    assert done.stderr == f'Error: genrestack {arguments[0]} needs: pip install "genrestack[{extras}]"\n'
    assert (done.returncode, done.stdout) == (1, "")


def test_a_table_is_predicted(bare: Bare, server: Running, small_stack: FittedStack, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    lines = [",".join(small_stack.feature_names)] + [",".join(map(str, row)) for row in small_stack.rows[:5]]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = bare.run("genrestack", "predict", table, "--server", f"127.0.0.1:{server.port}", "--csv")
    assert done.returncode == 0, done.stderr
    predicted = [row["predicted"] for row in csv.DictReader(done.stdout.splitlines())]
    assert predicted == small_stack.predict(small_stack.rows[:5])
    parquet = tmp_path / "rows.parquet"
    parquet.write_bytes(b"PAR1")
    done = bare.run("genrestack", "predict", parquet, "--server", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pyarrow" in done.stderr
    assert done.stderr.count("\n") == 1


def test_both_ends_of_the_protobuf_range(bare: Bare, newest: Bare, server: Running) -> None:
    for environment, protobuf in ((bare, "6.33.6" if (ROOT / "constraints.txt").is_file() else ""), (newest, "7.")):
        done = environment.run("python", "-W", "error", "-c", ROUND_TRIP, f"127.0.0.1:{server.port}")
        assert done.stderr == ""
        assert done.stdout.startswith(protobuf)
        assert done.stdout.endswith(" 1 SERVING rows.shape\n")
