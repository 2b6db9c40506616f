"""The site of the pages: made without a warning, every link leads somewhere, nothing is fetched from elsewhere."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from docs.conftest import DOCS, Site
from support.chromium import open_page, probe
from tinyhtml5.parser import HTMLParser

SVG = "{http://www.w3.org/2000/svg}"
# What a browser fetches by itself, as opposed to what a reader follows.
FETCHED = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "use": "href", "image": "href",
}  # fmt: skip


@cache
def tree(page: Path) -> Element:
    parsed: Element = HTMLParser(namespace_html_elements=False).parse(page.read_text(encoding="utf-8"))
    return parsed


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(e.attrib[key] for e in tree(page).iter() for key in ("id", "name") if key in e.attrib)


def links(page: Path) -> Iterator[str]:
    for element in tree(page).iter():
        for key in ("href", "src"):
            if key in element.attrib:
                yield element.attrib[key]


def test_it_is_made_without_a_warning(site: Site) -> None:
    assert (site.status, site.said) == (0, ""), f"see what `make docs` says:\n{site.said}"


def test_every_link_leads_somewhere(site: Site) -> None:
    dead = []
    for page in site.pages():
        for link in links(page):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not target.is_file():
                dead.append(f"{page.name}: {link} is not a file of the site")
            elif parts.fragment and target.suffix == ".html" and parts.fragment not in anchors(target):
                dead.append(f"{page.name}: {link}: no such heading there")
    assert not dead, "\n".join(dead)


def test_nothing_is_fetched_from_elsewhere(site: Site) -> None:
    remote = []
    for page in site.pages():
        for element in tree(page).iter():
            key = FETCHED.get(str(element.tag).rpartition("}")[2])
            url = element.attrib.get(key, "") if key else ""
            if (urlsplit(url).scheme or url.startswith("//")) and not url.startswith("data:"):
                remote.append(f"{page.name}: <{element.tag}> {url}")
        remote += [f"{page.name}: {url}" for url in _fetched_by_style(page.read_text(encoding="utf-8"))]
    for style in site.folder.rglob("*.css"):
        remote += [f"{style.name}: {url}" for url in _fetched_by_style(style.read_text(encoding="utf-8"))]
    assert not remote, "\n".join(remote)


def _fetched_by_style(text: str) -> list[str]:
    return re.findall(r"(?:@import\s+|url\()\s*[\"']?((?:https?:)?//[^\"')\s]+)", text)


def test_the_reports_are_there(site: Site) -> None:
    for report in (DOCS / "examples").glob("*.html"):
        assert (site.folder / "examples" / report.name).read_bytes() == report.read_bytes()


def test_files_of_the_repository_can_be_read_in_it(site: Site) -> None:
    shown = site.folder / "files" / "examples" / "serve_and_predict.py.html"
    assert "wait_until_ready" in "".join(tree(shown).itertext())


def test_every_picture_says_what_it_shows(site: Site) -> None:
    for page in site.pages():
        for image in tree(page).iter("img"):
            if "sidebar-logo" not in image.attrib.get("class", ""):
                assert len(image.attrib.get("alt", "")) > 40, (page.name, image.attrib["src"])


@pytest.mark.parametrize("picture", sorted(p.name for p in (DOCS / "pictures").glob("*.svg")))
def test_pictures_know_light_and_dark(picture: str) -> None:
    root = ET.parse(DOCS / "pictures" / picture).getroot()
    assert root.attrib["role"] == "img"
    described = [root.findtext(f"{SVG}{part}") or "" for part in ("title", "desc")]
    assert all(described)
    style = root.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style
    for element in root.iter():
        # Every colour is a class's, so that both sets of colours reach it.
        assert not {"fill", "stroke", "style"} & set(element.attrib) - {"none"}, element.attrib


@pytest.mark.parametrize("name", ["index", "how-it-works", "migration"])
def test_a_browser_shows_it(site: Site, name: str) -> None:
    dom, console = open_page(site.folder / f"{name}.html", "--window-size=1280,900")
    assert not console
    assert "</html>" in dom


@pytest.mark.parametrize("name", ["index", "how-it-works", "migration", "benchmarks"])
def test_it_fits_a_phone(site: Site, name: str, tmp_path: Path) -> None:
    page = site.folder / f"{name}.html"
    base = f'<base href="{page.as_uri()}">'
    whole, seen, *_ = probe(page.read_text(encoding="utf-8").replace("<head>", f"<head>{base}", 1), tmp_path, 390)
    assert whole <= seen
