"""A small model that everybody may harm, and what it answers."""

from pathlib import Path

import pytest
from hard.callers.steady import POOL, Expected
from server.bundles.tiny import TinyStack, draw_rows, write_tiny


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model repository of the test's own, with one version of one model."""
    models_dir = tmp_path / "models"
    models_dir.mkdir()
    write_tiny(models_dir, "tiny", TinyStack.draw(1))
    return models_dir


@pytest.fixture
def expected(repository: Path) -> Expected:
    """What the repository's first version answers."""
    known = Expected(draw_rows(POOL, seed=5))
    known.learn(repository / "tiny" / "1")
    return known
