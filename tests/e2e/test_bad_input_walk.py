"""The walk through every bad input: each answer is an error, in a line or two, with nothing internal in it."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.long
def test_every_bad_input_is_answered_well(tmp_path: Path) -> None:
    page = tmp_path / "errors.md"
    argv: list[str | Path] = [sys.executable, ROOT / "tools" / "walk_bad_input.py", "--write", page]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8").count("```text") > 150
