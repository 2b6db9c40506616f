"""What is measured of Ray Serve is written beside the plain server it took turns with."""

from pathlib import Path

import pytest
from click import ClickException

from benchmarks.ray import BEGIN, END, PLAIN, Load, render, summed_up, write_into
from benchmarks.reporting.machine import Machine

MACHINE = Machine("a CPU", 2, 0.0, "3.11", "Linux", {}, "2025-01-01")
ONE, MANY = Load(1, 1), Load(8, 256)


def blocks(*rates: int) -> list[dict[str, object]]:
    return [{"seconds": 2.0, "taken": [1 / rate] * 2 * rate} for rate in rates]


def test_blocks_are_summed_up() -> None:
    found = summed_up(PLAIN, ONE, blocks(100, 200, 1000))
    assert found.calls_a_second == 200
    assert found.p50_ms == pytest.approx(1.0)
    assert found.p99_ms == pytest.approx(10.0)


def test_each_line_is_compared_with_the_plain_server_before_it() -> None:
    measured = [
        summed_up(name, load, blocks(rate))
        for load, rates in ((ONE, (1000, 250)), (MANY, (40, 60)))
        for name, rate in zip((PLAIN, "Ray Serve, 1 replica"), rates, strict=True)
    ]
    lines = render(measured, MACHINE, quick=False)
    assert lines[2:6] == [
        "| 1 caller, 1 row a call | one plain server | 1,000 | 1,000 | 1.00 ms | 1.00 ms |  |",
        "| 1 caller, 1 row a call | Ray Serve, 1 replica | 250 | 250 | 4.00 ms | 4.00 ms | 0.25× |",
        "| 8 callers, 256 rows a call | one plain server | 40 | 10,240 | 25.00 ms | 25.00 ms |  |",
        "| 8 callers, 256 rows a call | Ray Serve, 1 replica | 60 | 15,360 | 16.67 ms | 16.67 ms | 1.50× |",
    ]
    assert "busy" not in lines[0]
    assert "--quick" in render(measured, MACHINE, quick=True)[0]


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "ray.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    write_into(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ClickException, match="lacks the marks"):
        write_into(page, "new")
