"""`genrestack bench`: benchmark a running server and report latency."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genrestack.cli.connection import Connection, connection_options
from genrestack.cli.options import model_options, timeout_option
from genrestack.cli.terminal import json_text
from genrestack_common.text import printable

if TYPE_CHECKING:
    from genrestack.cli.bench.drive import LoadRun
    from genrestack.cli.bench.figures import BenchResult
    from genrestack.cli.bench.payloads import Payloads
    from genrestack.cli.bench.plan import Plan
    from genrestack.cli.bench.server_side import ServerFigures
    from genrestack.model_info import ModelInfo


@click.command(
    short_help="Benchmark a running server: latency percentiles and requests per second.",
    epilog="Example: genrestack bench --callers 64 --plot latency.png · genrestack bench --rate 500 --json",
)
@connection_options
@model_options
@click.option(
    "--callers",
    metavar="N",
    type=click.IntRange(1, 4096),
    default=16,
    show_default=True,
    help="Callers that each wait for an answer before they ask again.",
)
@click.option(
    "--rate",
    metavar="N",
    type=click.FloatRange(0, 100_000, min_open=True),
    help="Send N requests a second instead, whether or not answers keep up; latency counts from when each "
    "request should have been sent.",
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Of a rate: at random, as many independent callers come; or evenly spaced.",
)
@click.option("--stream", is_flag=True, help="Send through streams, one for each caller, not by unary calls.")
@click.option(
    "--rows",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Rows in a request.",
)
@click.option(
    "--table",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the rows from this table; without it they are drawn from the ranges that training saw.",
)
@click.option(
    "--seconds",
    metavar="S",
    type=click.FloatRange(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    help="How long is measured.",
)
@click.option("--requests", metavar="N", type=click.IntRange(1, 10_000_000), help="Stop after N requests, if sooner.")
@click.option(
    "--warm-up",
    metavar="S",
    type=click.FloatRange(0, 600),
    default=2.0,
    show_default=True,
    help="Load it so long before anything counts.",
)
@click.option(
    "--connections",
    metavar="N",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Connections that the callers share; a server with several workers wants several.",
)
@click.option(
    "--metrics",
    metavar="URL",
    help="Also say what the server counted meanwhile, e.g. http://127.0.0.1:9464/metrics of its --metrics-port.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; all times are in seconds.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw it: .png, .svg or .html.")
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Of the rows and the arrivals.")
@timeout_option(10.0, "How long a request may take.")
def bench(
    *,
    connection: Connection,
    model: str | None,
    version: int | None,
    table: Path | None,
    metrics: str | None,
    as_json: bool,
    plot: Path | None,
    **load: Any,
) -> None:
    """Benchmark a running server and report latency.

    First it says what it will do. Nothing is sent again that failed: each failure is counted by its status. All
    figures are of the measured part; what the client itself took of the machine is among them, since a client that is
    busy itself makes a server look slow. On one machine, client and server share its cores.
    """  # fmt: skip
    from genrestack.cli.bench.figures import BenchResult
    from genrestack.cli.bench.plan import Plan
    from genrestack.cli.bench.text import lines

    _check_plot(plot)
    plan = Plan(**load)
    info, payloads = _prepare(connection, model, version, table, plan)
    title = printable(f"{info.name}/{info.version} at {connection.server}")
    click.echo(f"loading {title}: {plan}; {printable(payloads.source)}", err=True)
    run, server = _load(plan, payloads, connection, metrics)
    figures = BenchResult.of(plan, run, server)
    told = lines(figures)
    if as_json:
        _print_json(info, plan, payloads, figures)
    else:
        _print(told)
    for doubt in figures.doubts:
        click.echo(f"note: {doubt}", err=True)
    if plot is not None:
        _draw(plot, title, str(plan), figures, run, told)
    if not figures.answered:
        raise click.ClickException(f"nothing was answered: {dict(told)['failed']}")


def _prepare(
    connection: Connection, model: str | None, version: int | None, table: Path | None, plan: "Plan"
) -> "tuple[ModelInfo, Payloads]":
    from genrestack.cli.bench.payloads import Payloads

    options = connection.options(plan.timeout)
    with connection.client(plan.timeout) as client:
        info = client.model(model, version)
        payloads = Payloads.of(info, plan.rows, table, options, plan.seed)
        # One request asked as a client asks it: what is wrong with all of them is said in a client's words.
        client.predict(payloads.sample, info.name, info.version)
    return info, payloads


def _load(
    plan: "Plan", payloads: "Payloads", connection: Connection, metrics: str | None
) -> "tuple[LoadRun, ServerFigures | None]":
    import asyncio

    from genrestack import RetryOptions
    from genrestack.cli.bench.drive import drive
    from genrestack.cli.bench.server_side import Totals, difference, scrape

    looks: list[Totals] = []

    def look() -> None:
        if metrics is not None:
            looks.append(scrape(metrics))

    look()
    options = connection.options(plan.timeout, retry=RetryOptions(attempts=1))
    with _shown(plan) as watch:
        run = asyncio.run(drive(plan, payloads, options, watch, look))
    look()
    return run, difference(looks[-2], looks[-1]) if looks else None


@contextmanager
def _shown(plan: "Plan") -> Iterator[Callable[[float, int], object]]:
    """Show the progress of the load on a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield lambda _seconds, _calls: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[calls]:,} requests"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("warming up", total=plan.warm_up + plan.seconds, calls=0)

        def watch(seconds: float, calls: int) -> None:
            what = "measuring" if seconds >= plan.warm_up else "warming up"
            progress.update(task, completed=seconds, calls=calls, description=what)

        yield watch


def _print(told: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in told)
    for name, text in told:
        click.echo(f"{name:<{width}}  {text}")


def _print_json(info: "ModelInfo", plan: "Plan", payloads: "Payloads", figures: "BenchResult") -> None:
    from dataclasses import asdict

    about = {"model": info.name, "version": info.version, "source": payloads.source}
    click.echo(json_text({"asked": about | asdict(plan), "figures": figures.to_dict()}, indent=2))


def _check_plot(plot: Path | None) -> None:
    if plot is None:
        return
    if find_spec("matplotlib") is None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
    if plot.suffix.lower() not in (".png", ".svg", ".html"):
        raise click.UsageError(f"--plot {plot}: its name has to end in .png, .svg or .html")
    if not plot.absolute().parent.is_dir():
        raise click.UsageError(f"--plot {plot}: there is no folder {plot.parent}; make it first")


def _draw(
    plot: Path, title: str, subtitle: str, figures: "BenchResult", run: "LoadRun", told: list[tuple[str, str]]
) -> None:
    from genrestack.cli.bench.picture import draw

    try:
        draw(plot, title, subtitle, figures, run, told)
    except OSError as error:
        raise click.ClickException(f"cannot write {plot} ({error.strerror}); choose another file") from error
    click.echo(f"drawn: {printable(str(plot))}", err=True)
