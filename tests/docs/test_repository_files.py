"""What the site makes of links to the repository's own files, on a small repository."""

import subprocess
import sys
from pathlib import Path

import pytest
from docs.conftest import DOCS


def build(repository: Path, *links: str) -> "subprocess.CompletedProcess[str]":
    """Make the site of one page with these links."""
    docs = repository / "docs"
    docs.mkdir()
    (docs / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(DOCS / '_extensions')!r})\n"
        "extensions = ['myst_parser', 'repository_files']\nmyst_heading_anchors = 3\n",
        encoding="utf-8",
    )
    page = "\n\n".join(["# Page", *(f"[link {number}]({link})" for number, link in enumerate(links))])
    (docs / "index.md").write_text(page, encoding="utf-8")
    options = ["-W", "--keep-going", "-q", "-b", "html"]
    argv = [sys.executable, "-m", "sphinx", *options, str(docs), str(repository / "site")]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_files_and_folders_are_shown(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "inner" / ".hidden").mkdir(parents=True)
    (code / "a.py").write_text("answer = 42 < 43", encoding="utf-8")
    (code / "inner" / "b.unknown").write_text("plain", encoding="utf-8")
    (code / "inner" / ".hidden" / "c.py").write_text("", encoding="utf-8")
    (code / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "NOTES.md").write_text("# Notes", encoding="utf-8")
    done = build(tmp_path, "../code", "../code/a.py", "../NOTES.md")
    assert (done.returncode, done.stderr) == (0, "")
    site = tmp_path / "site"
    index = (site / "index.html").read_text(encoding="utf-8")
    for target in ("files/code.html", "files/code/a.py.html", "files/NOTES.md.html"):
        assert f'href="{target}"' in index
        assert (site / target).is_file()
    folder = (site / "files" / "code.html").read_text(encoding="utf-8")
    assert 'href="code/inner/b.unknown.html"' in folder
    assert "picture.png" not in folder
    assert ".hidden" not in folder
    assert "&lt;" in (site / "files" / "code" / "a.py.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("dead", ["gone.md", "#nowhere", "../gone.py", "../gone", "gone.html"])
def test_a_dead_link_ends_the_build(tmp_path: Path, dead: str) -> None:
    done = build(tmp_path, dead)
    assert done.returncode != 0
    assert "index.md:3: WARNING" in done.stderr
