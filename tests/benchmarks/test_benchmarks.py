"""The benchmarks run; how quick anything is, no test says."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, bounded, quicker, reached, share, slower
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.report import BEGIN, END, Report, cells, to_json, write_into
from benchmarks.suites.call import one_call
from benchmarks.suites.concurrency import many_callers
from benchmarks.suites.http import by_http
from benchmarks.suites.start import start
from benchmarks.suites.stream import stream

SCANT = Budget(
    rounds=1,
    block_seconds=0.01,
    calls=20,
    stream_rounds=2,
    stream_batches=2,
    starts=1,
    many_callers_rounds=1,
    many_callers_seconds=0.2,
    generated_calls=200,
)
MACHINE = Machine("a CPU", 2, 0.0, "3.11", "Linux", {"numpy": "2"}, "2025-01-01")


def test_figures_over_the_wire(models_dir: Path) -> None:
    predict, client = one_call(models_dir, SCANT)
    assert predict.baseline == client.baseline
    assert predict.baseline is not None
    assert predict.ratio == pytest.approx(predict.value / predict.baseline.value)
    figures = by_http(models_dir, SCANT)
    assert [figure.name for figure in figures] == [
        f"HTTP, {way}, {rows}, p50" for rows in ("1 row", "256 rows") for way in ("bytes", "JSON")
    ]
    assert all(figure.baseline is not None and figure.value > 0 for figure in figures)
    by_stub, by_client = stream(models_dir, SCANT)
    assert min(by_stub.value, by_client.value) > 0
    seconds, memory = start(models_dir, SCANT)
    assert seconds.value > 0
    assert 10 < memory.value < 10_000


def test_many_callers(models_dir: Path) -> None:
    rate, spread, rows, gain = many_callers(models_dir, SCANT)
    assert rate.baseline is not None
    assert gain.baseline is not None
    assert min(rate.value, rate.baseline.value, gain.baseline.value) > 0
    assert rate.value == gain.value
    assert spread.value >= 1
    assert 1 <= rows.value <= 64


def test_met_and_missed() -> None:
    one = Baseline("that", 1.0)
    assert quicker("a", 0.5, one, least=2).met is True
    assert quicker("a", 0.51, one, least=2).met is False
    assert slower("a", 2.5, one, most=2.5).met is True
    assert slower("a", 2.51, one, most=2.5).met is False
    assert share("a", 0.8, "rows", one, least=0.8).met is True
    assert share("a", 0.79, "rows", one, least=0.8).met is False
    assert reached("a", 8.0, "rows", least=8).met is True
    assert reached("a", 7.9, "rows", least=8).met is False
    assert bounded("a", 3.0, "s", most=3).met is True
    assert bounded("a", 3.1, "s", most=3).met is False
    assert quicker("a", 1.0, one).met is None


def test_a_line_of_the_table() -> None:
    line = quicker("1 row", 0.2, Baseline("Keras", 45.0), least=150, note="so-so")
    assert cells(line) == ("1 row", "0.2 ms", "45 ms, Keras", "225×", "≥ 150× quicker", "yes", "so-so")
    assert cells(bounded("memory", 412.3, "MB", most=300))[1:6] == ("412 MB", "", "", "≤ 300 MB", "NO")


def report(*figures: Figure, busy: bool = False) -> Report:
    return Report("a table", replace(MACHINE, load=5.0) if busy else MACHINE, quick=False, figures=figures)


def test_written_into_a_document(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    figure = bounded("max |Δp|", 5e-5, "", most=5e-4)
    for _ in range(2):
        write_into(document, report(figure))
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count(r"| max \|Δp\| | 5.0e-05 |") == 1
    assert "old" not in text
    assert "busy" not in text
    write_into(document, report(figure, busy=True))
    assert "The machine was busy" in document.read_text()
    write_into(document, replace(report(figure), left_out=["h2load"]))
    assert "- Left out, for it is not installed: h2load." in document.read_text()
    document.write_text("no marks")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_into(document, report(figure))


def test_the_documentation_has_the_marks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    assert re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", page, re.DOTALL)


def test_json() -> None:
    read = json.loads(to_json(report(slower("a", 2.0, Baseline("that", 1.0), most=2.5))))
    assert read["figures"][0]["baseline"] == {"name": "that", "value": 1.0}
    assert read["machine"]["cpu"] == "a CPU"


def test_a_part_of_the_table_is_not_written(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("kept")
    done = CliRunner().invoke(main, ["--only", "start", "--write", str(document)])
    assert done.exit_code == 2
    assert "leave out --only" in done.output
    assert document.read_text() == "kept"
