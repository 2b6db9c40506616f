"""Figures that the suite prints at its end, and a small model that everybody may harm."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hard.lengths import LONG
from hard.steady import POOL, Expected
from server.tiny_bundle import TinyStack, draw_rows, write_tiny

_FIGURES = pytest.StashKey[list[str]]()

Say = Callable[[str], None]


@pytest.fixture
def say(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Say:
    """Say a figure: it is printed when the tests are over, whoever ran them."""

    def note(line: str) -> None:
        record_property("figure", f"{request.node.name}: {line}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure that was said."""
    passed = terminalreporter.stats.get("passed", [])
    lines = sorted({str(value) for report in passed for name, value in report.user_properties if name == "figure"})
    if lines:
        terminalreporter.section("figures, long form" if LONG else "figures, short form")
        for line in lines:
            terminalreporter.write_line(line)


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
