"""The page on moving from a pickle, followed word for word."""

from pathlib import Path

import pytest
from conftest import ROOT
from support.followed import blocks, commands, follow, scripts

PAGE = ROOT / "docs" / "migration.md"


@pytest.mark.timeout(3600)
def test_the_page_holds(tmp_path: Path) -> None:
    printed, warned = follow(commands(PAGE), tmp_path, scripts(PAGE))
    said = printed + warned
    promised = [line for block in blocks(PAGE, "console") for line in block.splitlines() if not line.startswith("$ ")]
    assert len(promised) == 13
    for line in promised:
        # Digits of a difference depend on how the network was fitted.
        start = line.split("labels 384 of 384")[0] if "max |Δp|" in line else line.split(" 5.6e-07")[0]
        assert start.removeprefix("localhost:50051") in said, start
    assert "labels 384 of 384" in said
    before, after = (line for line in printed.splitlines() if line.startswith("["))
    assert before.split() == after.replace("'", "").replace(",", "").split()
