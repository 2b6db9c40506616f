"""The comparison as a picture: an SVG that takes light or dark from the reader's settings."""

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.peers.measuring.results import MEASURES, Measure, Result
from benchmarks.peers.report.numbers import number

PANELS: Final = (
    ("one_p50", "one_p99"), ("many_callers_p50", "many_callers_p99"), ("batch_rate",),
    ("start",), ("memory",), ("installed",),
)  # fmt: skip
"""Measures of each panel; a second one is the far end of a line."""
_TITLES: Final = {
    "one_p50": "1 row, 1 caller: p50 to p99",
    "many_callers_p50": "1 row, 64 callers: p50 to p99",
    "batch_rate": "256 rows a request, 4 callers",
}
_WIDTH, _MARGIN = 960, 16
_PANEL, _NAMES, _SCALE = 456, 192, 160
_LINE, _HEAD, _FOOT = 21, 30, 18
_STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .soft { fill: #59636e }
  .guide { stroke: #d1d9e0 } .mark { fill: #59636e; stroke: #59636e }
  .ours text { font-weight: 600; fill: #0b57b0 } .ours .mark { fill: #0b57b0; stroke: #0b57b0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .soft { fill: #9198a1 }
    .guide { stroke: #3d444d } .mark { fill: #9198a1; stroke: #9198a1 }
    .ours text { fill: #79b8ff } .ours .mark { fill: #79b8ff; stroke: #79b8ff }
  }
"""


def draw(results: Sequence[Result]) -> str:
    """Draw what was measured, a panel for each kind of figure, as a whole SVG file."""
    height_of_one = _HEAD + _LINE * len(results) + _FOOT
    rows = -(-len(PANELS) // 2)
    height = rows * height_of_one + 3 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="t d">',
        '<title id="t">GenreStack beside other ways to serve the same stack; the table has the numbers</title>',
        '<desc id="d">Small charts: a dot for each contestant on a logarithmic scale, with its figure.</desc>',
        f"<style>{_STYLE}</style>",
    ]
    for index, keys in enumerate(PANELS):
        left = _MARGIN + (index % 2) * (_PANEL + _MARGIN)
        parts.append(f'<g transform="translate({left} {_MARGIN + index // 2 * height_of_one})">')
        parts += [*_panel([_measure(key) for key in keys], results), "</g>"]
    below = f'<text class="soft" x="{_MARGIN}" y="{height - _MARGIN}">Each scale is logarithmic and its own.</text>'
    return "\n".join([*parts, below, "</svg>"]) + "\n"


def _panel(measures: Sequence[Measure], results: Sequence[Result]) -> list[str]:
    first = measures[0]
    better = "more is better" if first.more_is_better else "less is better"
    title = _TITLES.get(first.key, first.name)
    unit = f'<tspan class="soft" font-weight="400"> · {escape(first.unit)}, {better}</tspan>'
    parts = [f'<text class="title" x="0" y="14">{escape(title)}{unit}</text>']
    values = [each.values[m.key] for each in results for m in measures if m.key in each.values]
    if not values:
        return parts
    low, high = min(values), max(values)
    for index, result in enumerate(results):
        y = _HEAD + _LINE * index + 8
        parts += [f'<g class="{"ours" if result.ours else "others"}">', *_row(measures, result, y, low, high), "</g>"]
    return parts


def _row(measures: Sequence[Measure], result: Result, y: int, low: float, high: float) -> list[str]:
    end = _NAMES + _SCALE
    parts = [
        f'<text x="0" y="{y + 4}">{escape(result.name)}</text>',
        f'<line class="guide" x1="{_NAMES}" y1="{y}" x2="{end}" y2="{y}"/>',
    ]
    found = [result.values[m.key] for m in measures if m.key in result.values]
    if not found:
        return [*parts, f'<text class="soft" x="{end + 10}" y="{y + 4}">–</text>']
    places = [place(value, low, high) for value in found]
    if len(places) > 1:
        parts.append(
            f'<line class="mark" stroke-width="2" x1="{places[0]:.1f}" y1="{y}" x2="{places[1]:.1f}" y2="{y}"/>'
        )
    parts.append(f'<circle class="mark" cx="{places[0]:.1f}" cy="{y}" r="4.5"/>')
    said = " – ".join(number(value) for value in found)
    return [*parts, f'<text x="{end + 10}" y="{y + 4}">{escape(said)}</text>']


def place(value: float, low: float, high: float) -> float:
    """Return a value's place on the logarithmic scale, in pixels of the panel."""
    if value <= 0 or low <= 0 or high <= low:
        return _NAMES
    return _NAMES + _SCALE * math.log(value / low) / math.log(high / low)


def _measure(key: str) -> Measure:
    return next(measure for measure in MEASURES if measure.key == key)
