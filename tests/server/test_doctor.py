"""What serving contributes to `genrestack doctor`."""

import os
import shutil
from pathlib import Path

import pytest
from server.bundles.tiny import TinyStack, write_tiny

from genrestack_bundle.runtime import providers
from genrestack_server.doctor import cpus, findings, memory, models

MIB = 2**20


def _version_2(tmp_path: Path, **files: str) -> tuple[Path, Path]:
    member = tmp_path / "membership"
    member.write_text("0::/pod/box\n")
    folder = tmp_path / "fs" / "pod"
    (folder / "box").mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return tmp_path / "fs", member


def test_a_container_with_one_cpu(tmp_path: Path) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two processors")
    subject, state, found, advice = cpus(*_version_2(tmp_path, cpu_max="100000 100000\n"))
    assert (subject, state, advice) == ("cpus", "note", "more than 1 worker gain nothing")
    assert found.startswith(f"1 of the machine's {os.cpu_count()} CPUs")


def test_a_machine_for_oneself(tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < (os.cpu_count() or 1):
        pytest.skip("this process may not use every CPU")
    assert cpus(*_version_2(tmp_path))[1] == "ok"


def test_little_memory_is_noted(tmp_path: Path) -> None:
    subject, state, found, advice = memory(*_version_2(tmp_path, memory_max=str(256 * MIB)))
    assert (subject, state, found[:7]) == ("memory", "note", "256 MiB")
    assert "2 GiB to train" in advice


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for _ in range(2):
        write_tiny(folder, "tiny", TinyStack.draw())
    return folder


def test_a_repository_is_verified(repository: Path) -> None:
    shutil.copytree(repository / "tiny", repository / "other")
    graph = repository / "other" / "2" / "meta.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    (repository / "tiny" / "2").rename(repository / "tiny" / "10")
    other, tiny = models(repository)
    assert tiny[:2] == ("model tiny", "ok")
    assert tiny[2].startswith("tiny/10 is whole: every hash agrees, 20 golden rows")
    assert other[:2] == ("model other", "problem")
    assert "meta.onnx" in other[2]
    assert other[3]


@pytest.mark.parametrize("what", ["nothing", "empty", "file"])
def test_a_folder_without_models(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "models"
    if what == "empty":
        folder.mkdir()
    elif what == "file":
        folder.touch()
    ((_, state, found, advice),) = models(folder)
    assert (state, found) == ("problem", f"there is no model in {folder}")
    assert "genrestack train" in advice


def test_two_wheels_are_a_problem_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr("genrestack_server.doctor.installed_wheels", lambda: both)
    first = next(findings(None))
    assert first[:2] == ("onnxruntime", "problem")
    assert first[2].startswith("onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are both installed")
    assert first[3].startswith("run pip uninstall -y onnxruntime onnxruntime-gpu, then")


def test_a_driver_without_a_wheel_for_it_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    if "CUDAExecutionProvider" in providers.available():
        pytest.skip("this onnxruntime is for GPUs")
    rows = {row[0]: row for row in findings(None)}
    assert ("provider cuda" in rows) == providers.driver()
    # Any library that is there stands in for the driver's.
    monkeypatch.setattr(providers, "_DRIVER", "libc.so.6")
    cuda = {row[0]: row for row in findings(None)}["provider cuda"]
    assert cuda[1] == "note"
    assert cuda[3].endswith('pip install "genrestack[server-gpu]"')
