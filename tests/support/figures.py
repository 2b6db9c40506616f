"""Figures that tests say, printed when all tests are over."""

from collections.abc import Callable

import pytest

Say = Callable[[str], None]


@pytest.fixture
def say(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Say:
    """Report a figure: it is printed when the tests are over, in any worker."""

    def note(line: str) -> None:
        record_property("figure", f"{request.node.name}: {line}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every figure that was said."""
    from hard.lengths import LONG

    passed = terminalreporter.stats.get("passed", [])
    lines = sorted({str(value) for report in passed for name, value in report.user_properties if name == "figure"})
    if lines:
        terminalreporter.section("figures, long form" if LONG else "figures, short form")
        for line in lines:
            terminalreporter.write_line(line)
