"""The `report` subcommand."""

from pathlib import Path

import click


@click.command(
    short_help="Regenerate a run's report, or compare two runs.",
    epilog="Examples: genrestack report runs/gtzan · genrestack report runs/first runs/second --output both.html",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", required=False, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file to write; default: report.html in RUN, or of two runs comparison.html here.",
)
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
def report(*, run: Path, other: Path | None, output: Path | None, opened: bool) -> None:
    """Write the report of RUN, the folder of a training, as one HTML file, and show its results.

    With OTHER, both are compared on the rows that both held out: every metric's difference with a paired 95 % interval,
    and a sign-flip test over recordings or artists that says whether the difference may be chance. A folder of several
    runs stands for the latest of them.
    """
    from genrestack_training.errors import TrainingError

    try:
        file = _one(run, output) if other is None else _two(run, other, output or Path("comparison.html"))
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"report: {file}")
    if opened:
        click.launch(str(file))


def _one(run: Path, output: Path | None) -> Path:
    from rich.console import Console

    from genrestack_training.report.console import render
    from genrestack_training.report.run_report import write_report
    from genrestack_training.run.storage import read_record

    file = write_report(run, output)
    Console().print(render(read_record(run)))
    return file


def _two(run: Path, other: Path, output: Path) -> Path:
    from rich.console import Console

    from genrestack_training.comparison import compare_runs
    from genrestack_training.report.comparison import write_comparison
    from genrestack_training.report.console import render_comparison

    comparison = compare_runs(run, other)
    Console().print(render_comparison(comparison))
    return write_comparison(comparison, output)
