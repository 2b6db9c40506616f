"""What a page is made of: tiles, sections, charts and tables, all of plain text that the template escapes."""

from dataclasses import dataclass, field

from markupsafe import Markup


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
