"""What holds of every report, whatever it shows."""

import itertools
import re
from xml.etree.ElementTree import Element

from tinyhtml5.parser import HTMLParser

SVG = "{http://www.w3.org/2000/svg}"


def parse_strictly(page: str) -> Element:
    """Parse HTML as the standard says, and fail on the first error that it names."""
    parser = HTMLParser(namespace_html_elements=False)
    tree: Element = parser.parse(page)
    assert not parser.errors, parser.errors[:3]
    return tree


def check_page(page: str) -> Element:
    """Check what a page needs to be read anywhere by anybody: in one file, by keyboard, by a screen reader."""
    tree = parse_strictly(page)
    _check_self_contained(page, tree)
    _check_landmarks(tree)
    _check_headings(tree)
    _check_drawings(tree)
    _check_tables(tree)
    return tree


def _check_self_contained(page: str, tree: Element) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|<script|javascript:", page, re.IGNORECASE)
    for element in tree.iter():
        for name, value in element.attrib.items():
            if name.endswith(("href", "src")):
                assert value.startswith(("#", "data:")), (element.tag, value)
            assert not name.lower().startswith("on"), (element.tag, name)
    ids = [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    links = {e.attrib["href"][1:] for e in tree.iter() if e.attrib.get("href", "").startswith("#")}
    assert links <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)


def _check_landmarks(tree: Element) -> None:
    assert tree.attrib["lang"] == "en"
    for tag in ("header", "main", "nav", "footer", "h1", "title"):
        assert len(list(tree.iter(tag))) == 1, tag
    first = next(iter(tree.iter("a")))
    main = next(iter(tree.iter("main")))
    assert first.attrib["href"] == f"#{main.attrib['id']}"
    for box in tree.iter("div"):
        if box.attrib.get("class") == "scroll":
            assert box.attrib["tabindex"] == "0"
            assert box.attrib["aria-label"].strip()


def _check_headings(tree: Element) -> None:
    levels = [int(e.tag[1]) for e in tree.iter() if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def _check_drawings(tree: Element) -> None:
    for drawing in tree.iter(f"{SVG}svg"):
        assert drawing.attrib["role"] == "img"
        assert len(drawing.attrib["aria-label"]) > 20
        assert not list(drawing.iter(f"{SVG}style"))
        # Every colour is the page's, which knows light and dark.
        text = " ".join(e.attrib.get("style", "") for e in drawing.iter())
        assert not re.search(r"(fill|stroke): *#", text)


def _check_tables(tree: Element) -> None:
    for table in tree.iter("table"):
        caption = table.find("caption")
        assert caption is not None
        assert caption.text
        assert all(th.attrib["scope"] in {"col", "row"} for th in table.iter("th"))
        (head,) = table.findall("thead/tr")
        assert {len(row) for row in table.findall("tbody/tr")} == {len(head)}
