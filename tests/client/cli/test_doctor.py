"""`genrestack doctor`: real ports, real servers, limits made up where this machine cannot have them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import grpc
import pytest
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import Running, running_server

from genrestack import Client
from genrestack.cli.doctor import contributed, machine, network, packages
from genrestack.cli.doctor.finding import Finding, State
from genrestack.cli.doctor.requirements import Requirement, read_requirements


def doctor(*arguments: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GENRESTACK_")}
    argv = [sys.executable, "-m", "genrestack", "doctor", "--timeout", "60", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=kept | {"COLUMNS": "200"} | variables)


def found(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    return {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.fixture(scope="module")
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny(folder, "tiny", TinyStack.draw())
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Running]:
    with running_server(repository) as running:
        yield running


@pytest.fixture(scope="module")
def stranger() -> Iterator[int]:
    """A gRPC server that is none of ours."""
    strange = grpc.server(futures.ThreadPoolExecutor(1))
    port = strange.add_insecure_port("127.0.0.1:0")
    strange.start()
    yield port
    strange.stop(0).wait()


def test_here_there_is_nothing_to_mend(free_port: int, repository: Path) -> None:
    done = doctor("--port", str(free_port), "--models", repository, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["problem"] == 0
    assert report["ok"] + report["note"] == len(report["findings"]) > 12
    subjects = found(done)
    assert subjects[f"port {free_port}"]["found"] == f"free on 127.0.0.1:{free_port}"
    assert subjects["model tiny"]["found"].startswith("tiny/1 is whole: every hash agrees, 20 golden rows")
    assert subjects["provider cpu"]["state"] == "ok"
    assert {"python", "libraries", "protobuf", "cpus", "memory", "keras", "libsndfile", "clock"} <= set(subjects)
    assert "server" not in subjects


def test_a_person_reads_a_table_with_what_to_do(repository: Path, server: Running, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = doctor("--port", str(server.port), "--models", tmp_path / "empty", "--server", "127.0.0.1:1")
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["PROBLEM", "models", "there", "is", "no", "model", "in", str(tmp_path / "empty")] in lines
    assert "→ genrestack train TABLE makes a model" in done.stdout
    assert "taken by a GenreStack server: tiny/1" in done.stdout
    assert "2 problems" in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout


def test_a_server_is_asked_where_one_is_named(free_port: int, server: Running) -> None:
    asked = ("--port", str(free_port), "--json")
    address = f"127.0.0.1:{server.port}"
    named = found(doctor(*asked, "--server", address))["server"]
    assert (named["state"], named["found"]) == ("ok", f"{address} is SERVING: tiny/1")
    by_variable = found(doctor(*asked, GENRESTACK_SERVER=address))
    assert by_variable["server"] == named
    assert by_variable["environment"]["found"] == f"GENRESTACK_SERVER={address}"
    done = doctor(*asked, "--server", "127.0.0.1:1")
    assert done.returncode == 1
    assert found(done)["server"]["state"] == "problem"
    assert "genrestack health --server 127.0.0.1:1" in found(done)["server"]["advice"]


def test_a_server_without_a_model_is_a_problem(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, allow_empty=True) as running,
        Client(f"127.0.0.1:{running.port}", timeout=20) as client,
    ):
        finding = network.look_at_server(client, "here")
    assert (finding.state, finding.found) == (State.PROBLEM, "here is NOT_SERVING: no model yet")


def _port(host: str, port: int, timeout: float = 60) -> Finding:
    (finding,) = network.look_at_port(host, port, timeout)
    return finding


def test_a_free_port_is_free(free_port: int) -> None:
    assert _port("127.0.0.1", free_port).state is State.OK
    assert _port("127.0.0.1", free_port).state is State.OK


def test_a_port_of_a_genrestack_server(server: Running) -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        finding = _port(host, server.port)
        assert (finding.state, finding.found) == (State.OK, "taken by a GenreStack server: tiny/1")


def test_a_port_of_another_grpc_server(stranger: int) -> None:
    finding = _port("127.0.0.1", stranger)
    assert finding.state is State.PROBLEM
    assert "does not answer as a GenreStack server" in finding.found
    assert f"ss -ltnp 'sport = :{stranger}'" in finding.advice


def test_a_port_of_something_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finding = _port("127.0.0.1", silent.getsockname()[1], timeout=1)
    assert finding.state is State.PROBLEM
    assert "genrestack serve --port N" in finding.advice


def test_an_address_of_another_machine() -> None:
    finding = _port("192.0.2.1", 50051)
    assert (finding.state, finding.found) == (State.PROBLEM, "192.0.2.1 is not an address of this machine")


@pytest.mark.parametrize(
    ("server", "environ", "advice"),
    [
        ("127.0.0.1:1", {}, None),
        ("127.0.0.1:1", {"HTTP_PROXY": "x"}, None),
        ("127.0.0.1:1", {"http_proxy": ""}, None),
        ("127.0.0.1:1", {"http_proxy": "x"}, "export no_proxy=localhost,127.0.0.1"),
        ("localhost:1", {"grpc_proxy": "x", "no_proxy": "a.b"}, "export no_proxy=a.b,localhost,127.0.0.1"),
        ("127.0.0.1:1", {"http_proxy": "x", "no_proxy": "localhost, 127.0.0.1"}, None),
        ("[::1]:1", {"https_proxy": "x", "no_grpc_proxy": "::1"}, None),
        ("genres.example:1", {"https_proxy": "x"}, "if it does not let HTTP/2 through: export no_proxy=genres.example"),
        ("genres.example:1", {"https_proxy": "x", "no_proxy": ".example"}, None),
    ],
)
def test_proxies(server: str, environ: dict[str, str], advice: str | None) -> None:
    findings = list(network.look_at_proxies(server, environ))
    assert [finding.advice for finding in findings] == ([] if advice is None else [advice])


@pytest.mark.parametrize(("limit", "state"), [(-1, "ok"), (65_536, "ok"), (1024, "ok"), (512, "note"), (64, "problem")])
def test_open_files(limit: int, state: str) -> None:
    finding = machine.open_files(limit)
    assert finding.state == state
    assert ("ulimit -n" in finding.advice) == (state != "ok")


def test_the_clock() -> None:
    assert machine.clock(time.time()).state is State.OK
    finding = machine.clock(0.0)
    assert (finding.state, finding.found[:10]) == (State.PROBLEM, "1970-01-01")


@pytest.mark.parametrize(
    ("encoding", "state"), [("UTF-8", "ok"), ("utf8", "ok"), ("ascii", "note"), ("cp1252", "note")]
)
def test_text(encoding: str, state: str) -> None:
    assert machine.text(encoding).state == state


def test_text_of_a_real_process(free_port: int) -> None:
    plain = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = doctor("--port", str(free_port), **plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "printed as ascii, which cannot show every letter" in done.stdout
    assert "-> export PYTHONUTF8=1" in done.stdout


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    cache, temporary = machine.folders(file / "cache", file)
    assert (cache.state, temporary.state) == (State.NOTE, State.NOTE)
    assert "there is no folder for them" in list(machine.folders(tmp_path, None))[1].found
    assert [each.state for each in machine.folders(tmp_path / "not" / "yet", tmp_path)] == [State.OK, State.OK]
    assert not (tmp_path / "not").exists()
    assert next(machine.folders(None, tmp_path)).found == "no home folder"


def test_secrets_are_not_shown() -> None:
    environ = {"GENRESTACK_TOKEN": "gs_secret", "GENRESTACK_SERVER": "a:1", "HOME": "/x"}
    (finding,) = machine.variables(environ)
    assert finding.found == "GENRESTACK_SERVER=a:1, GENRESTACK_TOKEN"
    assert list(machine.variables({"HOME": "/x"})) == []


METADATA = [
    "click>=8.1",
    "no-such-library>=2",
    "numpy>=1.26,<1.27; extra == 'otel'",
    "no-such-library; extra == 'plot'",
    'click[sugar]>=8; extra == "ray"',
    "no-such-library; extra == 'server'",
    "click; extra == 'server-gpu'",
    "no-such-library; extra == 'docs'",
]


def test_requirements_are_read_as_metadata_writes_them() -> None:
    read = read_requirements(METADATA)
    assert read[0] == Requirement("click", ">=8.1")
    assert read[2] == Requirement("numpy", ">=1.26,<1.27", "otel")
    assert read[4] == Requirement("click", ">=8", "ray")
    assert [each.fits for each in read] == [True, False, False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("bounds", "fits"),
    [
        ("", True),
        (">=0", True),
        ("<0.1", False),
        (">=1,<2", True),
        (">=1,<1.0.1", False),
        ("==1.5", True),
        ("!=1.5.0", False),
    ],
)
def test_bounds_agree_with_packagings(bounds: str, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from packaging.specifiers import SpecifierSet

    from genrestack.cli.doctor import requirements

    assert SpecifierSet(bounds).contains("1.5.0") == fits
    monkeypatch.setattr(requirements, "version", lambda _: "1.5.0")
    assert Requirement("x", bounds).fits == fits


def test_extras_are_judged_by_what_is_installed() -> None:
    findings = {each.subject: each for each in packages.look_at_packages(read_requirements(METADATA))}
    assert findings["libraries"].state is State.PROBLEM
    assert findings["libraries"].found == "no-such-library is not installed (needed: >=2)"
    assert findings["extra otel"].state is State.PROBLEM
    assert findings["extra otel"].advice == 'pip install --upgrade "genrestack[otel]"'
    assert findings["extra plot"].state is State.NOTE
    assert findings["extra plot"].advice == 'pip install "genrestack[plot]"'
    assert findings["extra ray"].state is findings["extra server-gpu"].state is State.OK
    assert "extra server" not in findings, "one of the two servers is enough"
    assert "extra docs" not in findings


def test_what_must_not_stand_beside_the_gpus_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed = [Requirement("onnxruntime", ">=99", "train"), Requirement("click", "", "server-gpu")]
    assert {each.subject: each for each in packages.look_at_packages(needed)}["extra train"].state is State.PROBLEM
    folder = tmp_path / "onnxruntime_gpu-1.31.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = {each.subject: each for each in packages.look_at_packages(needed)}["extra train"]
    assert (finding.state, finding.advice) == (State.NOTE, 'in another environment: pip install "genrestack[train]"')


def test_our_own_requirements_are_all_understood() -> None:
    read = read_requirements()
    assert {"server", "train", "audio", "dev"} <= {each.extra for each in read}
    assert all(each.installed for each in read if each.extra in {"", "server", "train", "audio"})


def test_one_that_cannot_be_asked_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text(
        "def broken(folder):\n    yield 'a', 'ok', 'fine', ''\n    raise OSError('secret path')\n"
        "def lacking(folder):\n    import no_such_library\n    yield\n"
        "def good(folder):\n    return [('b', 'note', str(folder), 'do it')]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [EntryPoint(name, f"asked:{name}", contributed.GROUP) for name in ("broken", "good", "lacking")]
    first, second, third, fourth = contributed.look_at_others(None, entries)
    assert first == Finding("a", State.OK, "fine")
    assert (second.subject, second.state, second.found) == ("broken", State.PROBLEM, "could not be looked at (OSError)")
    assert third == Finding("b", State.NOTE, "None", "do it")
    assert (fourth.state, fourth.found) == (State.NOTE, "not looked at: the library no_such_library is not installed")
