"""The page in a real browser: songs dropped, looked into by mouse and by keyboard, on a desk and on a phone."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client.web.conftest import Page, served_page
from support.chromium import find_chromium
from support.samples.songs import KINDS, fit_songs, write_recording
from support.samples.stacks import export
from support.tools import need
from support.waiting import until

AXE = "axe-core@4.10.3"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    command = find_chromium()
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=command, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def tab(browser: Any, page: Page) -> Iterator[Any]:
    """A tab with the page; nothing may go wrong in it, and nothing may be asked of anybody else."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, accept_downloads=True)
    opened, complaints, asked = context.new_page(), [], []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(page.url)
    opened.wait_for_selector("#card dt")
    yield opened
    context.close()
    assert complaints == []
    assert all(url.startswith((page.url, "blob:")) for url in asked), asked


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    mixed = write_recording(folder / "mixed.wav", *KINDS)
    return [mixed, write_recording(folder / "organ.mp3", "organ"), write_recording(folder / "band.flac", "band")]


def drop(tab: Any, *files: Path) -> list[list[str]]:
    """Pass files to the page, and wait until each has its answer or its sentence; return the rows of its table."""
    tab.set_input_files("#files", [str(file) for file in files])
    rows: list[list[str]] = []

    def answered() -> bool:
        nonlocal rows
        rows = [row.locator("th, td").all_inner_texts() for row in tab.locator("#rows tr").all()]
        said = [row for row in rows if row[1] != "…" or "audio" in row[0]]
        return len(said) == len(rows) == len(files)

    until(answered)
    return rows


def test_a_song_is_drawn_and_looked_into(tab: Any, songs: list[Path]) -> None:
    (row,) = drop(tab, songs[0])
    assert row[1] in KINDS
    assert row[3] == "0:18"
    assert "mixed.wav" in tab.inner_text("#song-title")
    assert tab.locator("#legend li").all_inner_texts() == [f"{kind[0]}{kind}, 2 windows" for kind in KINDS]
    width = tab.locator("#canvas").bounding_box()["width"]
    tab.locator("#canvas").hover(position={"x": width * 0.5, "y": 150})
    shown = tab.inner_text("#window")
    assert "0:09 to 0:12" in shown
    assert "hiss" in shown
    assert "knn" in shown
    assert "svc" in shown
    heights = tab.evaluate(
        """() => { const c = document.getElementById("canvas"), p = c.getContext("2d");
        return [0.2, 0.5, 0.8].map(x => [...p.getImageData(c.width * x, c.height - 20, 1, 1).data].join()); }"""
    )
    assert len(set(heights)) == 3, "three kinds have three colours"


def test_what_a_song_sounds_like(browser: Any, songs: list[Path], tmp_path: Path) -> None:
    fitted = fit_songs()
    names = [f"recording {row}" for row in range(len(fitted.training_rows))]
    export(fitted, tmp_path / "models", "alike", neighbors=True, row_names=names)
    with served_page(tmp_path / "models", tmp_path) as page:
        opened = browser.new_page()
        opened.goto(page.url)
        opened.wait_for_selector("#card dt")
        ((_, label, *_),) = drop(opened, songs[2])
        assert label == "band"
        assert re.search(r"It sounds like (recording \d+ \(band\)(, )?){3}\.", opened.inner_text("#verdict"))
        with opened.expect_download() as taken:
            opened.click("#json")
        (song,) = json.loads(taken.value.path().read_text(encoding="utf-8"))
        assert [near["label"] for near in song["like"]] == ["band"] * 3
        opened.close()


def test_a_text_file_and_three_songs(tab: Any, songs: list[Path], tmp_path: Path) -> None:
    notes = tmp_path / "=notes.txt"
    notes.write_text("not a song")
    rows = drop(tab, *songs, notes)
    assert [row[1] for row in rows[1:3]] == ["organ", "band"]
    assert "not audio" in rows[3][0]
    tab.click("thead button[data-key=name]")
    assert [row.split("\t")[0].split("\n")[0] for row in tab.locator("#rows tr").all_inner_texts()] == [
        "=notes.txt", "band.flac", "mixed.wav", "organ.mp3",
    ]  # fmt: skip
    assert tab.get_attribute("thead th:first-child", "aria-sort") == "ascending"
    with tab.expect_download() as taken:
        tab.click("#csv")
    table = list(csv.DictReader(io.StringIO(taken.value.path().read_text(encoding="utf-8"))))
    assert [line["song"] for line in table] == ["mixed.wav", "organ.mp3", "band.flac", "'=notes.txt"]
    assert table[1]["label"] == "organ"
    assert sum(float(table[1][kind]) for kind in KINDS) == pytest.approx(1, abs=1e-3)
    with tab.expect_download() as taken:
        tab.click("#json")
    whole = json.loads(taken.value.path().read_text(encoding="utf-8"))
    assert len(whole[0]["windows"]) == 6


def test_by_keyboard_alone(tab: Any, songs: list[Path]) -> None:
    reached = []
    for _ in range(3):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached[:2] == ["skip", "files"]
    drop(tab, *songs[:2])
    tab.focus("[data-song='1']")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#song-title") == "organ.mp3"
    assert tab.evaluate("document.activeElement.id") == "song-title"
    tab.focus("[data-song='0']")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "timeline"
    seen = []
    for key in ("ArrowRight", "ArrowRight", "End", "Home", "PageDown"):
        tab.keyboard.press(key)
        seen.append(tab.get_attribute("#timeline", "aria-valuenow"))
    assert seen == ["1", "2", "5", "0", "5"]
    assert "0:15 to 0:18" in tab.get_attribute("#timeline", "aria-valuetext")


def test_playing_moves_the_window(tab: Any, songs: list[Path]) -> None:
    drop(tab, songs[0])
    tab.evaluate("() => { document.getElementById('player').muted = true; }")
    tab.focus("#timeline")
    tab.keyboard.press("End")
    tab.keyboard.press("Enter")
    until(lambda: tab.evaluate("document.getElementById('player').currentTime") > 15.1)
    tab.keyboard.press("Enter")
    until(lambda: tab.evaluate("document.getElementById('player').paused"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, {"width": 1100, "height": 900}], ids=["phone", "desk"])
def test_nothing_overflows_and_letters_can_be_read(
    tab: Any, songs: list[Path], size: dict[str, int], scheme: str
) -> None:
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size(size)
    drop(tab, *songs)
    wide, seen = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen
    ink, back = tab.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert ink != back


@pytest.mark.long
def test_rules_of_accessibility(browser: Any, page: Page, songs: list[Path], tmp_path: Path) -> None:
    """axe, in light and dark, before and after songs."""
    need(shutil.which("npm"), "npm")
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", AXE],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    script = (tmp_path / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    for scheme in ("light", "dark"):
        context = browser.new_context(bypass_csp=True, color_scheme=scheme)
        tab = context.new_page()
        tab.goto(page.url)
        tab.wait_for_selector("#card dt")
        tab.evaluate(script)
        for files in ((), songs):
            if files:
                drop(tab, *files)
            found = tab.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))")
            assert found == []
        context.close()
