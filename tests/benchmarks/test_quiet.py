"""Tables of a busy machine are measured again, and published with their spread; targets are gathered in one table."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reporting import quiet
from benchmarks.reporting.figure import Baseline, Figure, bounded, quicker
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between
from benchmarks.reporting.quiet import combined, others, quietest, until_quiet
from benchmarks.reporting.report import markdown_table
from benchmarks.reporting.targets import BEGIN, END, with_targets

MACHINE = Machine("a CPU", 2, 0.0, "3.11", "Linux", {}, "2025-01-01")
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BURN = "import time; sum(i * i for i in range(3_000_000)); print(time.process_time())"


def figures(time: float, memory: float) -> list[Figure]:
    return [
        quicker("call", time, Baseline("that", 10.0), least=5, note="so-so"),
        bounded("memory", memory, "MB", most=100),
    ]


def test_one_quiet_run_is_enough(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shares = iter([(0.4,), (0.02,), (0.5,), (0.3,), (0.2,)])
    monkeypatch.setattr(quiet, "others", lambda *_: next(shares))
    counts = iter(range(10))
    ((machine, value),) = until_quiet(lambda: next(counts), None, PAGE)
    assert (value, machine.others, machine.busy, machine.remarks()) == (1, (0.02,), False, [])
    assert "others took 40 % of its processors): measuring again" in capsys.readouterr().err
    assert [value for _, value in until_quiet(lambda: next(counts), 2, PAGE)] == [2, 3]
    # Without a page nothing is repeated.
    assert len(until_quiet(lambda: next(counts), None, None)) == 1


def test_busy_runs_are_published_with_their_spread() -> None:
    runs = [
        (replace(MACHINE, others=(share,)), figures(time, memory))
        for share, time, memory in ((0.3, 4.0, 90.0), (0.2, 1.0, 120.0), (0.5, 2.0, 80.0))
    ]
    machine, (call, memory) = combined(runs)
    assert (call.value, call.ratio, call.met) == (2.0, 5.0, True)
    assert call.note == "so-so; 3 runs between 2.5 and 10×"
    assert (memory.value, memory.note) == (90.0, "3 runs between 80 and 120 MB")
    (remark,) = machine.remarks("each is the median")
    assert "busy in all 3 runs (others took 30 %, 20 %, 50 % of its processors): each is the median." in remark
    assert quietest(runs)[1] is runs[1][1]
    assert combined(runs[1:2])[1] == runs[1][1]


def test_processes_that_outlive_their_parent_count_as_ours() -> None:
    before = quiet._use()
    assert before is not None
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}])"
    ((_, done),) = until_quiet(
        # Ends when both have let go of the pipe.
        lambda: subprocess.run([sys.executable, "-c", child], check=True, capture_output=True, text=True), 1, None
    )  # fmt: skip
    after = quiet._use()
    assert after is not None
    assert after.own - before.own > 0.9 * float(done.stdout)


def test_what_others_take_is_not_what_we_take() -> None:
    before = quiet._use()
    assert before is not None
    after = replace(before, at=before.at + 10, own=before.own + 3)
    assert others(before, replace(after, machine=before.machine + 5), 2) == pytest.approx((0.1,))
    assert others(before, after, 2) == (0.0,)
    assert others(None, before, 2) == ()


def test_without_that_the_load_before_counts() -> None:
    assert replace(MACHINE, load=0.6).busy
    assert not replace(MACHINE, load=0.6, others=(0.05,)).busy
    assert replace(MACHINE, load=1.31).remarks() == [
        "The machine was busy (load 1.3): measure again in a quiet moment."
    ]


def test_targets_are_gathered_whenever_a_table_is_written(tmp_path: Path) -> None:
    begin, end = "<!-- one: begin; written by `python -m one --write` -->", "<!-- one: end -->"
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n{begin}\n{end}\n| a | b |\n|---|---|\n| 1 | 2 |\n", encoding="utf-8")
    table = markdown_table([*figures(1.0, 120.0), quicker("max |Δp|", 1.0, Baseline("that", 2.0))])
    for _ in range(2):
        write_between(page, begin, end, f"{table}\n- Date: 2025-01-02.")
    targets = page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    assert targets == [
        "| What | Measured | Baseline | Ratio | Target | Met | Command, date |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| call | 1 ms | 10 ms, that | 10× | ≥ 5× quicker | yes | `python -m one`, 2025-01-02 |",
        "| memory | 120 MB |  |  | ≤ 100 MB | NO | `python -m one`, 2025-01-02 |",
    ]
    assert with_targets("no marks") == "no marks"


def test_the_page_names_a_command_for_every_target() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_targets(text) == text
    gathered = text.partition(BEGIN)[2].partition(END)[0]
    for module in ("benchmarks", "benchmarks.fit", "benchmarks.neighbors", "benchmarks.audio"):
        assert f"`python -m {module}`" in gathered
