"""The comparison's arithmetic, table, picture and section, on made figures."""

import json
import re
import tomllib
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from benchmarks.peers.__main__ import main
from benchmarks.peers.contestants.environments import REQUIREMENTS
from benchmarks.peers.contestants.roster import REFERENCE, contestants
from benchmarks.peers.measuring.budget import BATCHES, MANY_CALLERS, ONE
from benchmarks.peers.measuring.contestant_run import ContestantRun, Loaded
from benchmarks.peers.measuring.results import MEASURES, Result, compared, percentile, values_of
from benchmarks.peers.report.numbers import number
from benchmarks.peers.report.page import BEGIN, END, Comparison, lines, print_comparison, to_json, to_markdown
from benchmarks.peers.report.picture import draw, place
from benchmarks.peers.report.ratios import PAIRS, figures
from benchmarks.peers.report.verdict import not_first
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
MACHINE = Machine("a CPU", 2, 0.0, "3.11", "Linux", {"numpy": "2"}, "2025-01-01")
VALUES = {"one_p50": 40.0, "many_callers_rate": 100.0, "start": 5.0, "apart": 0.0, "labels": 100.0}
PEER = Result(REFERENCE, "scikit-learn", "in process", False, {"scikit-learn": "1"}, VALUES, (VALUES, VALUES))
QUICKER_START = Result(
    "other", "Other | one", "HTTP", False, {"other": "2"}, {**VALUES, "start": 0.4, "apart": 0.2, "labels": 90.0}
)
OURS = Result("genrestack-1", "GenreStack, 1 worker", "gRPC", True, {"genrestack": "0.1"},
              {"one_p50": 1.0, "many_callers_rate": 2000.0, "start": 0.5, "apart": 5e-5, "labels": 100.0})  # fmt: skip


def turn(start: float, memory: float) -> ContestantRun:
    loads = {
        ONE: Loaded(1.0, (0.001, 0.002, 0.003)),
        MANY_CALLERS: Loaded(2.0, tuple(0.01 * n for n in range(1, 101))),
        BATCHES: Loaded(4.0, (1.0, 1.0)),
    }
    return ContestantRun(start, loads, memory)


def comparison(*results: Result, busy: bool = False) -> Comparison:
    return Comparison("a table", replace(MACHINE, load=5.0) if busy else MACHINE, 2, False, results)


def test_figures_of_turns() -> None:
    values = values_of([turn(1.0, 100.0), turn(2.0, 300.0), turn(9.0, 200.0)])
    assert values == pytest.approx(
        {
            "one_p50": 2.0, "one_p99": 3.0, "many_callers_p50": 500.0, "many_callers_p99": 990.0,
            "many_callers_rate": 50.0, "batch_rate": 128.0, "start": 2.0, "memory": 300.0,
        }
    )  # fmt: skip


@pytest.mark.parametrize("share", [1, 50, 99, 99.5, 100])
def test_percentiles_are_numpys(share: float) -> None:
    values = np.random.default_rng(0).normal(size=257)
    assert percentile(list(values), share) == np.percentile(values, share, method="inverted_cdf")


def test_answers_compared() -> None:
    expected = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    found = expected + np.array([[0.0, 0.0], [0.3, -0.3], [0.0, 0.0], [0.01, -0.01]])
    assert compared(found, expected) == pytest.approx({"apart": 0.3, "labels": 75.0})


def test_where_we_are_not_first() -> None:
    worse = replace(OURS, key="genrestack-2", name="GenreStack, 2 workers", values={**OURS.values, "start": 0.9})
    said = not_first([PEER, QUICKER_START, worse, OURS], REFERENCE)
    assert said == ["start to the first answer: Other | one 0.4 s; GenreStack, 1 worker 0.5 s"]
    exact = replace(QUICKER_START, values={**VALUES, "one_p50": 1.0})
    assert not_first([PEER, exact, OURS], REFERENCE) == [
        "max |Δp| from scikit-learn: Other | one 0; GenreStack, 1 worker 5.0e-05"
    ]
    assert not_first([PEER, QUICKER_START], REFERENCE) == []


def test_more_is_better_where_it_is() -> None:
    slow = replace(OURS, values={**OURS.values, "many_callers_rate": 99.0})
    (line,) = not_first([PEER, slow], REFERENCE)
    assert line == "1 row, 64 callers, rows/s: scikit-learn 100 rows/s; GenreStack, 1 worker 99 rows/s"


def test_the_table_has_the_best_in_bold() -> None:
    by_name = {name: cells for name, *cells in lines(comparison(PEER, QUICKER_START, OURS))}
    assert by_name["1 row, 1 caller, p50, ms"] == ["40", "40", "**1**"]
    assert by_name["1 row, 64 callers, rows/s"] == ["100", "100", "**2,000**"]
    assert by_name["start to the first answer, s"] == ["5", "**0.4**", "0.5"]
    assert by_name["labels as scikit-learn's, %"] == ["**100**", "90", "**100**"]
    assert by_name["installed size, MB"] == ["–", "–", "–"]
    assert len(by_name) == len(MEASURES)


def test_numbers() -> None:
    assert [number(v) for v in (0, 5e-5, 0.0123, 0.5, 99.95, 123.4, 1234.5)] == [
        "0", "5.0e-05", "0.0123", "0.5", "100", "123.4", "1,234",
    ]  # fmt: skip


def test_printed() -> None:
    console = Console(record=True, width=200)
    print_comparison(comparison(PEER, QUICKER_START, OURS, busy=True), console)
    text = console.export_text()
    assert "start to the first answer: Other | one 0.4 s; GenreStack, 1 worker 0.5 s" in text
    assert "**" not in text
    assert "The machine was busy" in text


def test_the_section(tmp_path: Path) -> None:
    failed = Result("gone", "Gone", "HTTP", False, {"gone": "3"}, {}, (), "Gone: no answer (exit status 1)\n  trace")
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_between(
            document, BEGIN, END, to_markdown(comparison(PEER, QUICKER_START, OURS, failed), "pictures/p.svg")
        )
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "(pictures/p.svg)" in text
    assert "- start to the first answer: Other \\| one 0.4 s; GenreStack, 1 worker 0.5 s" in text
    assert "**Gone gave no figures: Gone: no answer (exit status 1)**" in text
    assert "trace" not in text
    assert "| **Other \\| one** | HTTP | other 2 |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {4, 6}
    assert "scikit-learn 40 to 40" in text
    assert "2025-01-01" in text


def beside(key: str, name: str, sibling: str, one: float, batch: float) -> Result:
    """Make what a contestant measured in two rounds, the second of which was half as quick."""
    values = {"one_p50": one, "batch_rate": batch, "apart": 1e-5, "labels": 100.0}
    rounds = (values, {**values, "one_p50": 2 * one, "batch_rate": batch / 2})
    return Result(key, name, "", key.startswith("genrestack"), {}, {**values, "installed": 200.0}, rounds, "", sibling)


def test_ratios_against_mlserver_and_grpc() -> None:
    results = [
        beside("mlserver", "MLServer", "", 80.0, 2000.0),
        beside("genrestack-1", "GenreStack", "", 1.0, 62_000.0),
        beside("mlserver-json", "MLServer, HTTP", "mlserver", 90.0, 1000.0),
        beside("genrestack-json", "GenreStack, HTTP", "genrestack-1", 2.0, 31_000.0),
        replace(PEER, key="genrestack-bytes", values={}, rounds=(), failure="no answer", beside="genrestack-1"),
    ]
    found = figures(results)
    assert [figure.ratio for figure in found] == [80.0, 45.0, 0.5, pytest.approx(80 / 90), 31.0, 31.0, 0.5, 0.5, None]
    assert [figure.met for figure in found if figure.target] == [True, False]
    assert found[4].target == "≥ 30×"
    assert found[0].note == "rounds between 80 and 80"
    assert found[-1].name == "installed size, GenreStack"
    text = to_markdown(comparison(*results), "p.svg")
    assert "| 1 row, 1 caller, p50, GenreStack, HTTP | 2 ms | 90 ms, MLServer, HTTP | 45× |" in text
    assert "max |Δp|: MLServer, HTTP 1.0e-05, 100 % of the labels; GenreStack, HTTP 1.0e-05" in text
    assert "|  | MLServer | GenreStack |" in text
    assert len(ET.fromstring(draw(comparison(*results).columns))) > 0


def test_json_holds_the_rounds() -> None:
    read = json.loads(to_json(comparison(PEER, OURS)))
    assert read["results"][0]["rounds"][1]["one_p50"] == 40.0
    assert read["behind"] == []


def test_the_picture() -> None:
    failed = Result("gone", "Gone <&>", "HTTP", False, {}, {}, (), "no")
    drawing = ET.fromstring(draw([PEER, QUICKER_START, OURS, failed]))
    texts = ["".join(each.itertext()) for each in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "GenreStack, 1 worker" in texts
    assert "Gone <&>" in texts
    assert "prefers-color-scheme: dark" in draw([OURS])
    assert "http" not in draw([OURS]).replace("http://www.w3.org/2000/svg", "")


def test_places_on_the_scale() -> None:
    assert place(10.0, 1.0, 100.0) - place(1.0, 1.0, 100.0) == pytest.approx(
        place(100.0, 1.0, 100.0) - place(10.0, 1.0, 100.0)
    )
    assert place(0.0, 0.0, 1.0) == place(5.0, 5.0, 5.0)


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda file: file.stem)
def test_requirements_are_pinned(file: Path) -> None:
    pins = file.read_text().splitlines()
    assert pins == sorted(set(pins), key=lambda pin: pin.lower().replace("_", "-").replace(".", "-"))
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in pins)


@pytest.mark.parametrize(
    ("environment", "extras"), [("genrestack", ["server"]), ("genrestack-http", ["server", "http"])]
)
def test_our_environments_hold_what_the_server_needs_and_no_more(environment: str, extras: list[str]) -> None:
    """The installed size is that of these: a change of the extras has to be made there too."""
    project = tomllib.loads((REQUIREMENTS.parents[2] / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]
    needed: set[str] = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name not in needed and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            needed.add(name)
            wanted += distribution(name).requires or []
    pins = (REQUIREMENTS / f"{environment}.txt").read_text().splitlines()
    assert {canonicalize_name(pin.partition("==")[0]) for pin in pins} == needed


def test_everyone_has_requirements_and_a_way_to_run() -> None:
    everyone = contestants()
    assert everyone[0].key == REFERENCE
    assert len({each.key for each in everyone}) == len(everyone)
    for each in everyone:
        pins = (REQUIREMENTS / f"{each.environment}.txt").read_text().lower().replace("_", "-").splitlines()
        named = {pin.partition("==")[0] for pin in pins} | {"genrestack"}
        assert set(each.named) <= named
        assert (each.command is None) == (each.protocol is None) == bool(each.kind)
    assert [each.key for each in everyone if each.ours and not each.beside] == ["genrestack-1", "genrestack-2"]
    by_key = {each.key: each for each in everyone}
    assert all(by_key[each.beside].ours == each.ours for each in everyone if each.beside)
    assert {key for pair in PAIRS for key in pair} <= set(by_key)


def test_the_documentation_has_the_marks() -> None:
    assert re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "options", [("--write", "page.md", "--only", "mlserver"), ("--run", ".", "--table", "page.md")]
)
def test_options_that_exclude_each_other(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("kept")
    done = CliRunner().invoke(main, [*options])
    assert done.exit_code == 2
    assert "leave out" in done.output
    assert Path("page.md").read_text() == "kept"
