"""Charts from numbers. Each takes what it needs and no more, and describes in words what is to be seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from genrestack_training.evaluation.introspection import FeatureRange, LearningCurve
from genrestack_training.evaluation.results import ClassReport, Figure, ReliabilityBin
from genrestack_training.report.canvas import INK, LESS, LINE, MORE, SERIES, SOFT, WIDTH, draw
from genrestack_training.report.page import Chart
from genrestack_training.report.text import decimal, short, signed

MOST_BARS = 40
"""Lines of a chart that can still be read; the table beside it has all."""
_LIGHTEST, _DARKEST = 0.06, 0.6
"""Of a coloured cell, so that the number on it can be read in light and in dark."""


@dataclass(frozen=True)
class Whisker:
    """One line of a chart of figures with intervals."""

    name: str
    figure: Figure
    series: int = 0
    strong: bool = False


def whiskers(
    key: str,
    alternative: str,
    lines: Sequence[Whisker],
    *,
    axis: str,
    legend: Sequence[str] = (),
    zero: bool = False,
) -> Chart:
    """Draw figures as points with their intervals, one below the other; lines of one name share a row.

    Args:
        key: names the chart.
        alternative: in words.
        lines: from the top.
        axis: what the figures are.
        legend: names of the series.
        zero: True of differences: draws a line at 0, and writes signs.

    """
    names = list(dict.fromkeys(line.name for line in lines))[:MOST_BARS]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for name in names:
            drawn = [line for line in lines if line.name == name]
            for number, line in enumerate(drawn):
                _whisker(axes, line, names.index(name) + 0.26 * (number - (len(drawn) - 1) / 2), signs=zero)
        if zero:
            axes.axvline(0, color=SOFT, linewidth=1)
        axes.set_yticks(range(len(names)), [short(n, 34) for n in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(axis)
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        _legend(axes, legend)

    return draw(key, alternative, (WIDTH, 0.75 + 0.34 * len(names)), paint)


def _whisker(axes: Axes, line: Whisker, at: float, *, signs: bool) -> None:
    colour, figure = SERIES[line.series], line.figure
    if figure.lower is not None and figure.upper is not None:
        axes.plot(
            [figure.lower, figure.upper], [at, at], color=colour, linewidth=2.4 if line.strong else 1.5, alpha=0.7
        )
    axes.plot([figure.value], [at], marker="os^D"[line.series], markersize=7 if line.strong else 5.5, color=colour)
    # Written beside the chart: points that lie close would cover each other's numbers.
    axes.annotate(
        signed(figure.value) if signs else decimal(figure.value),
        (1, at),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        color=colour,
        fontweight="bold" if line.strong else "normal",
    )


def _legend(axes: Axes, names: Sequence[str]) -> None:
    if names:
        for number, name in enumerate(names):
            axes.plot([], [], "os^D"[number], color=SERIES[number], label=name)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names), borderaxespad=0, handletextpad=0.3)


def confusion(key: str, alternative: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Chart:
    """Draw a confusion matrix: true classes down, predicted classes across, cells shaded by share of the row."""
    matrix = np.array(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = min(WIDTH, 1.6 + 0.48 * len(labels))
    letters = 8.0 if len(labels) <= 16 else max(2.5, 8.0 * 16 / len(labels))

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for i, j in np.argwhere(matrix > 0):
            colour = MORE if i == j else LESS
            axes.add_patch(_cell(j, i, colour, float(shares[i, j])))
            if len(labels) <= 24:
                axes.text(j, i, f"{matrix[i, j]:.0f}", ha="center", va="center", fontsize=letters)
        _square(axes, labels, labels, letters)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")

    return draw(key, alternative, (size, 0.86 * size), paint)


def _cell(x: float, y: float, colour: str, weight: float) -> Rectangle:
    return Rectangle(
        (x - 0.48, y - 0.48),
        0.96,
        0.96,
        facecolor=colour,
        edgecolor="none",
        alpha=_LIGHTEST + weight * (_DARKEST - _LIGHTEST),
    )


def _square(axes: Axes, across: Sequence[str], down: Sequence[str], letters: float) -> None:
    """Label the rows and columns of a matrix."""
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.set_xticks(range(len(across)), [short(n, 16) for n in across], rotation=40, ha="right", fontsize=letters)
    axes.set_yticks(range(len(down)), [short(n, 16) for n in down], fontsize=letters)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)


def classes(key: str, alternative: str, reports: Sequence[ClassReport]) -> Chart:
    """Draw precision, recall and F1 of each class as bars with intervals, best first."""
    chosen = sorted(reports, key=lambda c: -c.f1.value)[-MOST_BARS:]
    kinds = ("precision", "recall", "f1")

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        for number, kind in enumerate(kinds):
            at = np.arange(len(chosen)) + 0.27 * (number - 1)
            figures: list[Figure] = [getattr(c, kind) for c in chosen]
            name = "F1" if kind == "f1" else kind
            axes.barh(at, [f.value for f in figures], height=0.23, color=SERIES[number], alpha=0.85, label=name)
            for y, f in zip(at, figures, strict=True):
                if f.lower is not None and f.upper is not None:
                    axes.plot([f.lower, f.upper], [y, y], color=INK, linewidth=0.9)
        axes.set_yticks(range(len(chosen)), [short(c.label, 34) for c in chosen])
        axes.set_ylim(len(chosen) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)

    return draw(key, alternative, (WIDTH, 0.8 + 0.42 * len(chosen)), paint)


def reliability(key: str, alternative: str, models: Mapping[str, Sequence[ReliabilityBin]]) -> Chart:
    """Draw a reliability diagram: accuracy against confidence; below, the rows of each bin."""

    def paint(canvas: Canvas) -> None:
        axes, below = canvas.subplots(2, 1, height_ratios=[4, 1], sharex=True)
        axes.plot([0, 1], [0, 1], color=SOFT, linestyle=(0, (4, 3)), linewidth=1, label="perfectly calibrated")
        for number, (name, bins) in enumerate(models.items()):
            _calibration(axes, name, bins, number)
        axes.set_ylabel("accuracy")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
        axes.grid()
        first = next(iter(models.values()))
        starts, heights = [b.above for b in first], [b.rows for b in first]
        below.bar(starts, heights, 1 / len(first), align="edge", color=SERIES[0], alpha=0.6)
        below.set_ylabel("rows")
        below.set_xlabel("confidence")
        below.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for each in (axes, below):
            each.tick_params(length=0)

    return draw(key, alternative, (5.4, 4.4), paint)


def _calibration(axes: Axes, name: str, bins: Sequence[ReliabilityBin], number: int) -> None:
    known = [(b.confidence, b.accuracy, b.rows) for b in bins if b.confidence is not None and b.accuracy is not None]
    confidence, accuracy, rows = (np.array(values) for values in zip(*known, strict=True))
    whole, colour, place = number == 0, SERIES[number % 4], 3 if number == 0 else 2
    axes.plot(confidence, accuracy, color=colour, linewidth=2.2 if whole else 0.9, zorder=place)
    sizes, mark = 10 + 60 * np.sqrt(rows / rows.sum()), "os^D"[number % 4]
    axes.scatter(confidence, accuracy, sizes, colour, marker=mark, label=short(name), zorder=place, clip_on=False)


def weights(
    key: str, alternative: str, parts: Mapping[str, np.ndarray], labels: Sequence[str], rows: Sequence[str]
) -> Chart:
    """Draw the meta-learner's coefficients: for each base model, predicted classes down and the model's outputs across.

    Args:
        key: names the chart.
        alternative: in words.
        parts: base model → coefficients, float64, shape (lines, columns).
        labels: of the columns.
        rows: of the lines.

    """
    largest = max(float(np.abs(part).max()) for part in parts.values()) or 1.0
    letters = 7.0 if len(labels) <= 12 else max(2.5, 7.0 * 12 / len(labels))

    def paint(canvas: Canvas) -> None:
        grid = canvas.subplots(1, len(parts), squeeze=False, sharey=True)[0]
        for axes, (name, part) in zip(grid, parts.items(), strict=True):
            for (i, j), weight in np.ndenumerate(part):
                axes.add_patch(_cell(j, i, MORE if weight > 0 else LESS, abs(float(weight)) / largest))
                if len(labels) <= 12 and abs(weight) >= 0.35 * largest:
                    axes.text(j, i, f"{weight:.1f}".replace("-", "−"), ha="center", va="center", fontsize=5.5)
            _square(axes, labels, rows, letters)
            axes.set_title(short(name), fontsize=8.5, color=INK)
        grid[0].set_ylabel("score of the class")
        canvas.subplots_adjust(wspace=0.06)

    return draw(key, alternative, (WIDTH + 0.6, 1.0 + (WIDTH - 0.6) / len(parts) * len(rows) / len(labels)), paint)


def curves(key: str, alternative: str, learned: Mapping[str, LearningCurve]) -> Chart:
    """Draw loss and accuracy over the epochs, each network in its colour."""
    counted = any(curve.accuracy for curve in learned.values())

    def paint(canvas: Canvas) -> None:
        panels = canvas.subplots(1, 2 if counted else 1, squeeze=False)[0]
        for number, (name, curve) in enumerate(learned.items()):
            for axes, values in zip(panels, (curve.loss, curve.accuracy), strict=False):
                if values:
                    line = {"color": SERIES[number % 4], "linewidth": 2, "label": short(name)}
                    axes.plot(
                        range(1, len(values) + 1), values, marker="o" if len(values) < 40 else "", markersize=3, **line
                    )
        for axes, title in zip(panels, ("training loss", "training accuracy"), strict=False):
            axes.set_title(title, fontsize=8.5, loc="left")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.grid()
            axes.tick_params(length=0)
        panels[0].set_ylim(bottom=0)
        if counted:
            panels[1].yaxis.set_major_formatter(PercentFormatter(1))
        if len(learned) > 1:
            panels[0].legend()
        canvas.subplots_adjust(wspace=0.22)

    return draw(key, alternative, (WIDTH if counted else WIDTH / 2, 2.6), paint)


def ranges(key: str, alternative: str, features: Sequence[FeatureRange]) -> Chart:
    """Draw the held-out values, on a scale on which every feature was fitted from 0 to 1."""
    limit = 0.5

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.axvspan(0, 1, color=LINE, alpha=0.45, linewidth=0)
        for at, f in enumerate(features):
            width = (f.fitted_max - f.fitted_min) or 1.0
            low, high = ((v - f.fitted_min) / width for v in (f.held_back_min, f.held_back_max))
            axes.plot(np.clip([low, high], -limit, 1 + limit), [at, at], color=SERIES[0], linewidth=2.6)
            for end, beyond in ((low, low < -limit), (high, high > 1 + limit)):
                if beyond:
                    place = -limit if end < 0 else 1 + limit
                    axes.plot([place], [at], marker="<" if end < 0 else ">", color=SERIES[1], markersize=5)
        axes.set_yticks(range(len(features)), [short(f.name, 34) for f in features])
        axes.set_ylim(len(features) - 0.5, -0.5)
        axes.set_xlim(-limit - 0.04, 1 + limit + 0.04)
        axes.set_xticks([0, 1], ["smallest fitted", "largest fitted"])
        axes.tick_params(length=0)
        axes.grid(axis="y", alpha=0.6)

    return draw(key, alternative, (WIDTH, 0.5 + 0.21 * len(features)), paint)
