"""A matplotlib figure as inline SVG that takes its colours and its letters from the page around it.

Figures are drawn in stand-in colours that become CSS variables, on no background, so that one drawing serves light and
dark. Texts stay texts: small, sharp, and to be found by a search in the page.
"""

import io
import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from genrestack_training.report.page import Chart

INK, SOFT, LINE = "#0a0b01", "#0a0b02", "#0a0b03"
SERIES = ("#0a0b11", "#0a0b12", "#0a0b13", "#0a0b14")
MORE, LESS = "#0a0b21", "#0a0b22"
_VARIABLES = {
    INK: "currentColor",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    MORE: "var(--more)",
    LESS: "var(--less)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}
WIDTH = 7.4
"""Inches of a full line. One inch is shown as 125 CSS pixels, so that letters of size 9 come out at 15.6 pixels."""
_PIXELS = 125 / 72
_NAMESPACE = re.compile(r"\{[^}]*\}")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_FONT = re.compile(r"'DejaVu Sans'[^;]*")


def draw(key: str, alternative: str, size: tuple[float, float], paint: Callable[[Figure], None]) -> Chart:
    """Draw one chart.

    Args:
        key: names it among the charts of its page.
        alternative: what it shows, in words.
        size: width and height in inches; `WIDTH` is a full line.
        paint: draws on the figure, in the colours above.

    """
    stream = io.StringIO()
    with _look(), warnings.catch_warnings():
        # The page's fonts write the letters; the measuring font need not have them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=size)
        paint(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", bbox_inches="tight", pad_inches=0.04, metadata=nothing)
    return Chart(_inline(stream.getvalue(), key, alternative), alternative)


def _look() -> AbstractContextManager[None]:
    """Set how everything is drawn, for the length of a block."""
    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "genrestack",
            # A class may be called $x$.
            "text.parse_math": False,
            "axes.unicode_minus": True,
            "font.size": 8.0,
            "axes.labelsize": 8.0,
            "xtick.labelsize": 8.0,
            "ytick.labelsize": 8.0,
            "legend.fontsize": 8.0,
            "legend.frameon": False,
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": LINE,
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "grid.color": LINE,
            "grid.linewidth": 0.6,
            "xtick.color": LINE,
            "ytick.color": LINE,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
        }
    )


def _inline(svg: str, key: str, alternative: str) -> Markup:
    root = ET.fromstring(svg)  # noqa: S314 - drawn a moment ago
    for parent in list(root.iter()):
        for child in list(parent):
            # Styles would reach beyond the drawing; style.css has what is needed of them.
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        element.attrib = {_NAMESPACE.sub("", n): _value(_NAMESPACE.sub("", n), v, key) for n, v in element.items()}
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": f"{width * _PIXELS:.0f}",
        "height": f"{height * _PIXELS:.0f}",
        "role": "img",
        "aria-label": alternative,
    }
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - serialised, and so escaped, by ElementTree


def _value(name: str, value: str, key: str) -> str:
    """Rewrite an attribute: page-wide name, CSS variable, font."""
    if name == "id":
        return f"{key}-{value}"
    if name == "href":
        return f"#{key}-{value.removeprefix('#')}"
    if name == "style":
        for stand_in, variable in _VARIABLES.items():
            value = value.replace(stand_in, variable)
        value = _FONT.sub("var(--font)", value)
    return _REFERENCE.sub(rf"url(#{key}-\1)", value)
