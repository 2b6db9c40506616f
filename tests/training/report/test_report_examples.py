"""The committed reports are what the commands of today make, in one file each."""

from pathlib import Path

import pytest
from support.pages import check_page

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.mark.parametrize("name", ["report-demo.html", "report-comparison.html"])
def test_example_stands_alone(name: str) -> None:
    page = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(page.encode()) < 1_000_000
    sections = {section.attrib["id"] for section in check_page(page).iter("section")}
    assert {"report-demo.html": "splits", "report-comparison.html": "figures-track"}[name] in sections
