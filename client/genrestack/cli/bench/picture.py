"""The picture of a load: latency by percentile and over time, as PNG, SVG, or a page that holds all of it."""

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from genrestack.cli.bench.drive import LoadRun
from genrestack.cli.bench.figures import BenchResult
from genrestack.cli.bench.record import quantiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE: Final = (11.0, 4.4)
"""Inches."""
_DPI: Final = 160
_QUIET: Final = "#5A5A5A"
_BLUE, _ROSE, _GREEN = "#332288", "#CC6677", "#117733"
_STEPS: Final = 60
_TICKS: Final = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def draw(
    path: Path, title: str, subtitle: str, figures: BenchResult, run: LoadRun, told: Sequence[tuple[str, str]]
) -> None:
    """Write the picture; the ending of `path` says in which form.

    Raises:
        OSError: it cannot be written.
        ModuleNotFoundError: matplotlib is not installed.

    """
    figure = make_figure(title, subtitle, figures, run)
    drawn = io.BytesIO()
    if path.suffix.lower() == ".html":
        figure.savefig(drawn, format="svg")
        path.write_text(_page(title, subtitle, drawn.getvalue().decode(), told), encoding="utf-8")
    else:
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=_DPI)
        path.write_bytes(drawn.getvalue())


def make_figure(title: str, subtitle: str, figures: BenchResult, run: LoadRun) -> "Figure":
    """Draw both halves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n", x=0.01, ha="left", fontsize=13, fontweight="bold", parse_math=False)
    figure.text(0.01, 0.925, subtitle, ha="left", va="top", color=_QUIET, fontsize=9, parse_math=False)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    _by_percentile(left, run.calls.latencies * 1000)
    _over_time(right, run, figures)
    for axes in (left, right):
        axes.tick_params(colors=_QUIET, length=3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def _by_percentile(axes: "Axes", latencies: npt.NDArray[np.float64]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    ordered = np.sort(latencies)
    beyond = 1 - np.arange(len(ordered)) / len(ordered)
    axes.step(1 / beyond, ordered, where="post", color=_BLUE, linewidth=1.8)
    axes.set_xscale("log")
    shown = [share for share in _TICKS if 1 / (1 - share) <= max(10, len(ordered))]
    axes.xaxis.set_major_locator(FixedLocator([1 / (1 - share) for share in shown]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{share * 100:.6g} %" for share in shown])
    axes.set_ylim(0, None)
    axes.set_xlabel("share of the requests that took no longer", color=_QUIET)
    axes.set_ylabel("latency, ms", color=_QUIET)
    for share in (0.5, 0.99):
        for value in quantiles(ordered, (share,)):
            axes.plot([1 / (1 - share)], [value], "o", color=_BLUE, markersize=5)
            axes.annotate(
                f"p{share * 100:g}: {value:.3g} ms", (1 / (1 - share), value), xytext=(6, -12),
                textcoords="offset points", color=_BLUE, fontsize=9,
            )  # fmt: skip


def _over_time(axes: "Axes", run: LoadRun, figures: BenchResult) -> None:
    edges = np.linspace(0, run.seconds, _STEPS + 1)
    began = (run.calls.intended - run.begin)[run.calls.good]
    latencies = run.calls.latencies * 1000
    steps = np.clip(np.digitize(began, edges) - 1, 0, _STEPS - 1)
    middles = (edges[:-1] + edges[1:]) / 2
    for share, colour, name in ((0.99, _ROSE, "p99"), (0.5, _BLUE, "p50")):
        values = [quantiles(latencies[steps == step], (share,)) for step in range(_STEPS)]
        axes.plot(middles, [value[0] if value else np.nan for value in values], color=colour, linewidth=1.6, label=name)
    axes.set_ylim(0, None)
    axes.set_xlim(0, run.seconds)
    axes.set_xlabel("time of the request, s", color=_QUIET)
    axes.set_ylabel("latency, ms", color=_QUIET)
    _failures(axes, run, edges)
    axes.legend(frameon=False, loc="upper right", fontsize=9)
    if not figures.latency:
        axes.text(0.5, 0.5, "nothing was answered", transform=axes.transAxes, ha="center", color=_QUIET)


def _failures(axes: "Axes", run: LoadRun, edges: npt.NDArray[np.float64]) -> None:
    failed = (run.calls.intended - run.begin)[~run.calls.good]
    if not len(failed):
        return
    counts, _ = np.histogram(failed, edges)
    other = axes.twinx()
    other.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=_GREEN, alpha=0.25)
    other.set_ylabel("failed requests", color=_GREEN)
    other.spines[["top"]].set_visible(False)


def _page(title: str, subtitle: str, svg: str, told: Sequence[tuple[str, str]]) -> str:
    rows = "\n".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in told)
    drawing = svg[svg.index("<svg") :]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.4rem; margin-bottom: 0; }} p {{ color: #5a5a5a; }} svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; }} th {{ text-align: left; font-weight: normal; color: #5a5a5a; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }} th, td {{ padding: 0.15rem 1.5rem 0.15rem 0; }}
</style></head><body>
<h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>
{drawing}
<table>{rows}</table>
</body></html>
"""
