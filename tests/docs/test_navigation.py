"""Every page can be found from the first one, and every link of the repository's own Markdown leads somewhere."""

import re
from pathlib import Path

import pytest
from conftest import ROOT
from docs.conftest import DOCS

READ_IN_THE_REPOSITORY = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("[a-z]*/**/README.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def listed() -> set[str]:
    """Names in the tables of contents on the first page."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    entries = [line for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL) for line in block.split("\n")]
    return {re.sub(r".*<(.+)>", r"\1", line.strip()) for line in entries if line and not line.startswith(":")}


@pytest.mark.parametrize("page", sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index"))
def test_a_page_is_listed(page: str) -> None:
    assert page in listed(), (
        f"docs/{page}.md is in no list of docs/index.md: add a line `{page}` where readers look for it"
    )


def test_what_is_listed_is_there() -> None:
    assert listed() <= {path.stem for path in DOCS.glob("*.md")}


def test_no_page_takes_the_name_of_one_the_generator_makes() -> None:
    assert not {path.stem for path in DOCS.glob("*.md")} & {"search", "genindex", "files"}


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in READ_IN_THE_REPOSITORY])
def test_links_in_the_repository(page: str) -> None:
    file = ROOT / page
    for link in LINK.findall(file.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = file.parent / path if path else file
        assert target.exists(), f"{page}: {link} leads nowhere"
        assert not anchor or anchor in _headings(target), f"{page}: {link}: no such heading"


def _headings(page: Path) -> set[str]:
    """Anchors as hosts of repositories make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
