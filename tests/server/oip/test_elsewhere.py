"""Clients that need an environment of their own: their messages collide with those of tritonclient."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server.live import Running, RunServer
from server.tiny_bundle import CLASSES, TinyStack, write_tiny
from support.tools import need

ROWS = [[0.5, -1.0, 2.0, 0.25], [1.5, 0.0, -2.0, 1.0]]
FORMS = ("float32 typed", "float32 raw", "float64 typed", "float64 raw")


@pytest.fixture
def explicit(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> Iterator[Running]:
    """A server that has loaded `tiny`, and can load `other`."""
    for name in ("tiny", "other"):
        write_tiny(tmp_path, name, stack)
    with run_server(tmp_path, repository_mode="explicit", load_models=("tiny",), management="open") as running:
        yield running


def asked(package: str, folder: Path, running: Running) -> dict[str, Any]:
    """What a package's client is answered, run in a fresh environment; skips where it cannot be installed."""
    python = folder / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True, timeout=120)
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=900)
    need(done.returncode == 0, f"{package} from a package index: {done.stderr[-300:]}")
    script = Path(__file__).with_name(f"{package.partition('==')[0]}_client.py")
    argv: list[str | Path] = [python, script, f"127.0.0.1:{running.port}", json.dumps(ROWS)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=kept)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(answers: dict[str, Any], stack: TinyStack) -> None:
    """Every form of every answer is the stack's own."""
    rows = np.array(ROWS, dtype=np.float32)
    expected = stack.predict_proba(rows)
    assert (answers["live"], answers["ready"], answers["unloaded"], answers["refused"]) == (
        True,
        True,
        True,
        "NOT_FOUND",
    )
    for form in FORMS:
        answer = answers[form]
        assert (answer["id"], answer["model"]) == ("five", "tiny/1")
        assert answer["label"] == [CLASSES[i] for i in expected.argmax(axis=1)]
        assert answer["class_index"] == expected.argmax(axis=1).tolist()
        np.testing.assert_allclose(np.reshape(answer["probabilities"], (2, 3)), expected, atol=1e-6)
        np.testing.assert_allclose(
            np.reshape(answer["probabilities.left"], (2, 3)), stack.base(rows)["left"], atol=1e-6
        )


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_mlserver(explicit: Running, tmp_path: Path, stack: TinyStack) -> None:
    answers = asked("mlserver==1.7.1", tmp_path / "apart", explicit)
    check(answers, stack)
    assert answers["loaded"]
    assert answers["server"] == "genrestack"
    assert answers["index"] == ["other", "tiny"]
    assert answers["platform"] == "onnxruntime_onnx"
    assert answers["outputs"][:3] == ["label", "class_index", "probabilities"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_kserve(explicit: Running, tmp_path: Path, stack: TinyStack) -> None:
    check(asked("kserve==0.21.0", tmp_path / "apart", explicit), stack)
