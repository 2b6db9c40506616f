"""The `features` subcommand."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from genrestack_common.extractors import KINDS, SPECTRAL

if TYPE_CHECKING:
    from genrestack_audio.table.table import BuildProgress, BuiltTable

_LINE_EVERY: Final = 15.0
"""Seconds between two lines where there is no terminal."""


@click.command(
    short_help="Turn recordings into a table of features.",
    epilog="Examples: genrestack features genres/ -o table.csv · "
    "genrestack features clips/ --labels genres.csv -o table.parquet · "
    "genrestack features genres/ --kind tags -o tags.csv",
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The table: .csv or .parquet.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=SPECTRAL,
    show_default=True,
    help="The 57 numbers, the 50 outputs of a pre-trained tagger, or both.",
)
@click.option(
    "--tagger",
    type=click.Path(path_type=Path),
    envvar="GENRESTACK_TAGGER",
    show_envvar=True,
    metavar="FILE",
    help="The converted tagger.  [default: where python -m genrestack_audio.tagger puts it]",
)
@click.option("--window", type=float, default=3.0, show_default=True, help="Seconds in a row's window.")
@click.option("--hop", type=float, help="Seconds from one window to the next; default: windows follow each other.")
@click.option("--whole", is_flag=True, help="One row for each recording as a whole, up to 10 minutes long.")
@click.option("--labels", type=click.Path(path_type=Path), help="CSV with the columns filename and label.")
@click.option("--no-labels", is_flag=True, help="A table without labels, to have them predicted.")
@click.option("--jobs", type=click.IntRange(min=1), help="Recordings at once; default: one for each processor.")
@click.option("--strict", is_flag=True, help="Exit with status 1 if a recording had to be left out.")
@click.option("--overwrite", is_flag=True, help="Rebuild the table if it exists.")
def features(
    *,
    paths: tuple[Path, ...],
    output: Path,
    kind: str,
    tagger: Path | None,
    window: float,
    hop: float | None,
    whole: bool,
    labels: Path | None,
    no_labels: bool,
    jobs: int | None,
    strict: bool,
    overwrite: bool,
) -> None:
    """Compute the features of every recording in PATH… and write them as a table.

    A PATH is a folder of genre folders (rock/a.mp3 is labelled rock), a genre folder beside others, or, with --labels
    or --no-labels, any folder or file. wav, flac, ogg and mp3 are read as they are, other kinds through ffmpeg.
    Recordings that cannot be read are named and left out. An interrupted build resumes where it stopped when the
    same command is given again.
    """
    _check_usage(output, labels, hop, whole=whole, no_labels=no_labels, overwrite=overwrite)
    _check_tagger(kind)
    with _click_errors(output):
        from genrestack_audio.extractors.window_features import window_features
        from genrestack_audio.features.compiled import FIRST_TIME, pending
        from genrestack_audio.table.clips import find_clips
        from genrestack_audio.table.labels import read_labels
        from genrestack_audio.table.table import build_table, check_output
        from genrestack_audio.windows.windows import Windows
        from genrestack_common.resources import usable_cpus

        check_output(output)
        windows = None if whole else Windows(window, hop)
        computed = window_features(kind, tagger)
        computed.check(windows)
        if pending():
            click.echo(FIRST_TIME, err=True)
        clips = find_clips(paths, None if labels is None else read_labels(labels), labelled=not no_labels)
        with _progress_display() as show:
            built = build_table(clips, output, windows, features=computed, jobs=jobs or usable_cpus(), progress=show)
    _print_result(built, output, trainable=not no_labels)
    if strict and built.bad:
        raise click.exceptions.Exit(1)


def _check_usage(
    output: Path, labels: Path | None, hop: float | None, *, whole: bool, no_labels: bool, overwrite: bool
) -> None:
    if labels is not None and no_labels:
        raise click.UsageError("--labels and --no-labels exclude each other; give one of them")
    if whole and hop is not None:
        raise click.UsageError("--whole has no windows for --hop to place; leave one of them out")
    if output.exists() and not overwrite:
        raise click.UsageError(f"{output} exists; give --overwrite to rebuild it, or name another table")


def _check_tagger(kind: str) -> None:
    given = click.get_current_context().get_parameter_source("tagger") is ParameterSource.COMMANDLINE
    if given and kind == SPECTRAL:
        raise click.UsageError("--tagger is for tags; give --kind tags or spectral+tags as well, or leave it out")


def _print_result(built: "BuiltTable", output: Path, *, trainable: bool) -> None:
    left_out = f"; {len(built.bad)} left out" if built.bad else ""
    click.echo(f"{output}: {built.rows:,} rows of {built.recordings:,} recordings{left_out}")
    click.echo(f"next: genrestack {'train' if trainable else 'predict'} {output}")


@contextmanager
def _click_errors(output: Path) -> Iterator[None]:
    from genrestack_audio.errors import AudioError

    try:
        yield
    except AudioError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        if output.with_name(f"{output.name}.part").exists():
            click.echo("\nstopped; give the same command again to resume", err=True)
        raise


@contextmanager
def _progress_display() -> Iterator[Callable[["BuildProgress"], None]]:
    """Show a bar with the time left, or a line now and then where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LineProgress()
        return
    columns = (TextColumn("recordings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    # Long estimates on purpose: recordings differ in length.
    with Bar(*columns, console=console, speed_estimate_period=300) as bar:
        task = bar.add_task("", total=None)

        def show(progress: "BuildProgress") -> None:
            for line in progress.messages:
                bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            bar.update(task, total=progress.of, completed=progress.done)

        yield show


class _LineProgress:
    """Progress as lines."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()

    def __call__(self, progress: "BuildProgress") -> None:
        for line in progress.messages:
            click.echo(line, err=True)
        now = time.monotonic()
        if progress.done == progress.resumed:
            if progress.resumed:
                click.echo(f"resuming: {progress.resumed} of {progress.of} recordings were done before", err=True)
        elif now - self._said >= _LINE_EVERY:
            self._said = now
            left = (now - self._began) / (progress.done - progress.resumed) * (progress.of - progress.done)
            minutes, seconds = divmod(round(left), 60)
            click.echo(f"{progress.done} of {progress.of} recordings, about {minutes}:{seconds:02d} left", err=True)
