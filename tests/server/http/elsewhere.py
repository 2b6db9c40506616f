"""Clients of the Open Inference Protocol that need an environment of their own, and what they have to be answered."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from server.bundles.tiny import CLASSES, TinyStack
from support.tools import need

ROWS = [[0.5, -1.0, 2.0, 0.25], [1.5, 0.0, -2.0, 1.0]]
FORMS = ("float32 typed", "float32 raw", "float64 typed", "float64 raw")


def asked(script: Path, package: str, folder: Path, address: str) -> dict[str, Any]:
    """What a package's client is answered, run in a fresh environment; skips where it cannot be installed.

    Args:
        script: what asks: it is given the address and rows, and prints the answers as JSON.
        package: what it needs, as pip takes it.
        folder: where the environment is made.
        address: of the server, `HOST:PORT`.

    """
    python = folder / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True, timeout=120)
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=900)
    need(done.returncode == 0, f"{package} from a package index: {done.stderr[-300:]}")
    argv: list[str | Path] = [python, script, address, json.dumps(ROWS)]
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
