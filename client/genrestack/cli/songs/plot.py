"""The picture of a song: how likely each genre is, over time.

Colours are from Paul Tol's "muted" scheme, made to be told apart by colour-blind people too; bands are also named
where they are wide enough, and lie in the order of the legend.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import numpy as np
import numpy.typing as npt

from genrestack.cli.songs.timeline import clock, grouped, percent, shown_song
from genrestack.songs.song_prediction import SongPrediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = (
    "#88CCEE", "#CC6677", "#117733", "#DDCC77", "#332288", "#AA4499", "#44AA99", "#999933", "#882255",
)  # fmt: skip
_OTHERS: Final = "#D4D4D4"
_DARK: Final = 0.45
"""Luminance below which letters are white."""
_QUIET: Final = "#5A5A5A"
_MOST_BANDS: Final = len(_COLOURS)
_LEAST_MEAN: Final = 0.02
_LEAST_PEAK: Final = 0.2
"""A class has a band of its own if its mean or its peak comes to this."""
_MOST_STEPS: Final = 240
_SIZE: Final = (10.0, 4.4)
"""Inches."""
_DPI: Final = 160
_TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_NAMED_HEIGHT: Final = 0.07
_NAMED_WIDTH: Final = 0.0105
"""Room for a name within a band: height, and width for each letter, as shares of the picture's axes."""
_NEARLY_BEST: Final = 0.8
_LINE: Final = 0.6
_LINED_STEPS: Final = 60
"""Points between bands; thinner where there are more steps than these."""


@dataclass(frozen=True)
class Band:
    """One class's share of the picture, or that of all the others."""

    name: str
    colour: str
    mean: float
    heights: npt.NDArray[np.float64]
    """Shape (steps,)."""


def draw(song: SongPrediction, path: Path) -> None:
    """Draw a song into a .png, .svg or .pdf.

    Raises:
        click.ClickException: the file cannot be written.
        ModuleNotFoundError: matplotlib is not installed.

    """
    picture = io.BytesIO()
    figure = make_figure(song)
    with warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box; that is all there is to it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(picture, format=path.suffix[1:].lower(), dpi=_DPI)
    try:
        path.write_bytes(picture.getvalue())
    except OSError as error:
        raise click.ClickException(f"cannot write {path} ({error.strerror}); choose another file") from error


def make_figure(song: SongPrediction) -> "Figure":
    """Draw a song."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    song = shown_song(song)
    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    size, means = grouped(song, _MOST_STEPS)
    edges = np.append(song.starts[::size], song.starts[-1] + song.window)
    found = bands(song, means)
    _stack(axes, edges, found)
    _frame(axes, max(float(edges[-1]), song.duration))
    _say(axes, song, size)
    _legend(axes, found)
    return figure


def bands(song: SongPrediction, means: npt.NDArray[np.float64]) -> list[Band]:
    """Choose which classes are shown, likeliest first, and put the others together at the end."""
    order = np.argsort(-song.probabilities, kind="stable")
    worth = (song.probabilities >= _LEAST_MEAN) | (means.max(axis=0) >= _LEAST_PEAK)
    shown = [int(column) for column in order if worth[column]][:_MOST_BANDS]
    rest = [column for column in range(len(song.classes)) if column not in shown]
    found = [
        Band(song.classes[column], colour, float(song.probabilities[column]), means[:, column])
        for column, colour in zip(shown, _colours(shown), strict=True)
    ]
    if rest:
        name = song.classes[rest[0]] if len(rest) == 1 else f"{len(rest)} others"
        found.append(Band(name, _OTHERS, float(song.probabilities[rest].sum()), means[:, rest].sum(axis=1)))
    return found


def _colours(columns: Sequence[int]) -> list[str]:
    """Assign each class its own colour, the same in all pictures unless another one here has it."""
    given: list[str] = []
    for column in columns:
        turned = [_COLOURS[(column + step) % len(_COLOURS)] for step in range(len(_COLOURS))]
        given.append(next(colour for colour in turned if colour not in given))
    return given


def _stack(axes: "Axes", edges: npt.NDArray[np.float64], found: Sequence[Band]) -> None:
    low = np.zeros(len(edges))
    line = _LINE * min(1.0, _LINED_STEPS / len(edges))
    for band in found:
        high = low + np.append(band.heights, band.heights[-1])
        axes.fill_between(
            edges, low, high, step="post", facecolor=band.colour, edgecolor="white", linewidth=line, label=band.name
        )
        _name(axes, edges, low[:-1], band)
        low = high


def _name(axes: "Axes", edges: npt.NDArray[np.float64], low: npt.NDArray[np.float64], band: Band) -> None:
    """Write a band's name into its middle, where it is high enough for long enough."""
    from rich.cells import cell_len

    width = _NAMED_WIDTH * cell_len(band.name) * (edges[-1] - edges[0])
    rooms = [_room(edges, low, low + band.heights, start, width) for start in edges[edges + width <= edges[-1]]]
    heights = np.array([top - bottom for bottom, top in rooms] or [0.0])
    if heights.max() < _NAMED_HEIGHT:
        return
    place = _middle_of_longest(heights >= _NEARLY_BEST * heights.max())
    colour = "white" if _luminance(band.colour) < _DARK else "black"
    x, y = edges[place] + width / 2, sum(rooms[place]) / 2
    axes.text(x, y, band.name, ha="center", va="center", color=colour, fontsize=10, parse_math=False)


def _room(
    edges: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    start: float,
    width: float,
) -> tuple[float, float]:
    """Highest bottom and lowest top of a band from `start` on, as far as a name reaches."""
    under = (edges[:-1] < start + width) & (edges[1:] > start)
    return float(low[under].max()), float(high[under].min())


def _middle_of_longest(good: npt.NDArray[np.bool_]) -> int:
    """Find the middle of the longest run of True; there is at least one."""
    steps = np.diff(np.concatenate([[False], good, [False]]).astype(np.int8))
    firsts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    longest = int((ends - firsts).argmax())
    return int(firsts[longest] + ends[longest] - 1) // 2


def _luminance(colour: str) -> float:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _frame(axes: "Axes", end: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter

    axes.set_xlim(0, end)
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(MultipleLocator(next((t for t in _TICKS if end / t <= 12), end)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _place: clock(seconds)))
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.tick_params(colors=_QUIET, length=3)
    axes.set_xlabel("time in the song", color=_QUIET)
    axes.set_ylabel("probability of each genre", color=_QUIET)
    axes.spines[:].set_visible(False)


def _say(axes: "Axes", song: SongPrediction, size: int) -> None:
    name = _shortened(Path(song.path).name, 60)
    axes.set_title(
        f"{name}: {song.label}, {percent(float(song.probabilities.max()))}",
        loc="left", pad=24, fontsize=14, fontweight="bold", parse_math=False,
    )  # fmt: skip
    count = f"{len(song)} window{'' if len(song) == 1 else 's'} of {song.window:g} s"
    together = f"; each step is {size} windows taken together" if size > 1 else ""
    axes.text(
        0, 1.03, f"{count}{together}; model {song.model}/{song.version}",
        transform=axes.transAxes, ha="left", va="bottom", color=_QUIET, fontsize=9.5, parse_math=False,
    )  # fmt: skip


def _legend(axes: "Axes", found: Sequence[Band]) -> None:
    """Label the bands from top to bottom, as they lie."""
    handles, _ = axes.get_legend_handles_labels()
    legend = axes.legend(
        handles[::-1], [f"{band.name}  {percent(band.mean)}" for band in reversed(found)],
        loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, borderaxespad=0.4, handlelength=1.0,
        handleheight=1.0, labelspacing=0.55, title="mean over the song", alignment="left", title_fontsize=9,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"
