"""A copy of a real bundle for tests to spoil."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def digits(models_dir: Path, tmp_path: Path) -> Path:
    """A copy of the exported digits, to be changed at will."""
    return Path(shutil.copytree(models_dir / "digits" / "1", tmp_path / "models" / "digits" / "1"))
