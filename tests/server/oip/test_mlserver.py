"""MLServer's own messages and converters, in an environment of its own: its messages collide with everyone else's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server.live import RunServer
from server.tiny_bundle import CLASSES, TinyStack, write_tiny
from support.tools import need

MLSERVER = "mlserver==1.7.1"
ROWS = [[0.5, -1.0, 2.0, 0.25], [1.5, 0.0, -2.0, 1.0]]
SCRIPT = Path(__file__).with_name("mlserver_client.py")


@pytest.fixture(scope="module")
def mlserver_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with MLServer; skips where it cannot be installed."""
    folder = tmp_path_factory.mktemp("mlserver")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    argv: list[str | Path] = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", MLSERVER]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900)
    need(done.returncode == 0, f"{MLSERVER} from a package index: {done.stderr[-300:]}")
    return folder / "bin" / "python"


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_mlservers_client(mlserver_python: Path, tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    for name in ("tiny", "other"):
        write_tiny(tmp_path, name, stack)
    with run_server(tmp_path, repository_mode="explicit", load_models=("tiny",), management="open") as running:
        answers = asked(mlserver_python, f"127.0.0.1:{running.port}")
    assert {name: answers[name] for name in ("live", "ready", "server", "loaded", "unloaded", "refused")} == {
        "live": True, "ready": True, "server": "genrestack", "loaded": True, "unloaded": True, "refused": "NOT_FOUND",
    }  # fmt: skip
    assert answers["index"] == ["other", "tiny"]
    assert answers["platform"] == "onnxruntime_onnx"
    assert answers["outputs"][:3] == ["label", "class_index", "probabilities"]
    rows = np.array(ROWS, dtype=np.float32)
    expected = stack.predict_proba(rows)
    for form in ("float32 typed", "float32 raw", "float64 typed", "float64 raw"):
        answer = answers[form]
        assert (answer["id"], answer["model"]) == ("five", "tiny/1")
        assert answer["label"] == [CLASSES[i] for i in expected.argmax(axis=1)]
        assert answer["class_index"] == expected.argmax(axis=1).tolist()
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
        np.testing.assert_allclose(answer["probabilities.left"], stack.base(rows)["left"], atol=1e-6)


def asked(python: Path, address: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    argv: list[str | Path] = [python, SCRIPT, address, json.dumps(ROWS)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=kept)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
