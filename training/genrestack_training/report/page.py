"""A report's page: tiles, sections, charts and tables, rendered as one HTML file that needs nothing from elsewhere.

All of it is plain text that the template escapes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from genrestack_training.errors import RunError
from genrestack_training.report.text import clean


@dataclass(frozen=True)
class Chart:
    """A drawing with the sentence that stands for it where it cannot be seen."""

    svg: Markup
    alternative: str


@dataclass(frozen=True)
class Grid:
    """A table of texts; the first cell of a line is its heading."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    """Columns from the left that hold words; the others hold numbers."""


@dataclass(frozen=True)
class Exhibit:
    """A chart, a table, or a chart with its numbers as a table folded away below it."""

    title: str = ""
    chart: Chart | None = None
    grid: Grid | None = None
    folded: bool = False
    """True if the table is opened by the reader even where there is no chart."""
    aside: bool = False
    """True if the whole of it is opened by the reader; it then has a title."""


@dataclass(frozen=True)
class Section:
    """One heading and what stands below it."""

    key: str
    """Names the section in addresses: `#key`."""
    title: str
    lines: tuple[str, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(frozen=True)
class Tile:
    """A headline figure."""

    title: str
    value: str
    spread: str = ""
    """Its interval in words."""
    note: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    kind: str
    subtitle: str
    tiles: tuple[Tile, ...]
    lead: tuple[str, ...]
    """Sentences that everybody should read."""
    notes: tuple[str, ...] = ()
    """What went not quite as it should."""
    sections: tuple[Section, ...] = field(default=())


def render_page(page: Page) -> str:
    """Render the HTML of a page; every text on it is escaped."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return _template().render(page=page, style=Markup(style), version=version("genrestack")) + "\n"  # noqa: S704 - ours


@cache
def _template() -> Template:
    loader = PackageLoader(__package__)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_clean_text)
    return environment.get_template("page.html")


def _clean_text(value: object) -> object:
    """Replace in names from a table what HTML cannot hold."""
    return clean(value) if type(value) is str else value


def write_page(file: Path, page: str) -> Path:
    """Write a page.

    Raises:
        RunError: the file cannot be written.

    """
    with write_errors(file):
        file.write_text(page, encoding="utf-8")
    return file


@contextmanager
def write_errors(file: Path) -> Iterator[Path]:
    """Raise what a file cannot be written for as a RunError."""
    try:
        yield file
    except OSError as exc:
        raise RunError(f"cannot write {file}: {exc.strerror}; choose another file with --output") from exc
