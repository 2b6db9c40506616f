"""The `evaluate` subcommand."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from genrestack_training.cli.shared import click_errors
from genrestack_training.served.model import (
    Connection,
    ServedModel,
    client_or_loaded,
    connection_options,
    models_option,
)

_LIBRARIES: Final = ("librosa", "scipy", "soundfile", "soxr")
"""Those of the extra audio."""


def _model_name(text: str) -> tuple[str, int | None]:
    """Read NAME or NAME/VERSION."""
    name, slash, version = text.partition("/")
    if slash and not (version.isdecimal() and int(version)):
        raise click.BadParameter(f"{version!r} is not a version; write {name} or {name}/1")
    return name, int(version) if slash else None


@click.command(
    short_help="Evaluate a served model on a collection of your own.",
    epilog="Examples: genrestack evaluate music/ --models models/gtzan · "
    "genrestack evaluate mine.csv --server localhost:50051 --model gtzan/3 --groups artists.csv · "
    "genrestack evaluate held_back.csv --models models --against runs/gtzan/20260131T120000Z",
)
@click.argument("collection", metavar="TABLE|FOLDER", type=click.Path(path_type=Path))
@connection_options
@models_option
@click.option(
    "--model",
    "named",
    metavar="NAME[/VERSION]",
    type=_model_name,
    help="The model to ask; without it, the server's default, and of each the newest version.",
)
@click.option("--groups", type=click.Path(path_type=Path), help="CSV of filename and group (an artist), for intervals.")
@click.option("--label", default="label", show_default=True, help="Name of the label column.")
@click.option("--track-column", metavar="NAME", help="Column naming a row's recording; default: read from filename.")
@click.option("--artist-column", metavar="NAME", help="Column naming a row's artist, in place of --groups.")
@click.option(
    "--against",
    metavar="FILE|RUN",
    type=click.Path(path_type=Path),
    help="The stack before its export, to compare answers and speed with: a pickle, or a run's folder.",
)
@click.option(
    "--scaler", type=click.Path(path_type=Path), help="The pickled scaler of --against, if it is not in there."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("evaluation.html"),
    show_default=True,
    help="The HTML file to write.",
)
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="How long to wait for the answer to one batch.",
)
@click.pass_context
def evaluate(
    ctx: click.Context,
    *,
    collection: Path,
    connection: Connection,
    folder: Path | None,
    named: tuple[str, int | None] | None,
    groups: Path | None,
    label: str,
    track_column: str | None,
    artist_column: str | None,
    against: Path | None,
    scaler: Path | None,
    output: Path,
    opened: bool,
    timeout: float,
) -> None:
    """Ask a served model about a labelled collection, and report how good it is there.

    The collection is a table, or a folder of genre folders of recordings, whose features are computed as `genrestack
    features` does. Accuracy, calibration and their 95 % intervals are reported of the stack and of each base model, by
    row and by recording, and how the collection as a whole differs from what the model was trained on.

    With --against, the answers are compared with those of the stack before its export; the exit status is 1 if a label
    differs. Unpickling runs code from the file: only open files you trust.
    """
    if scaler is not None and against is None:
        raise click.UsageError("--scaler belongs to --against; name the stack that it is in front of")
    name, version = named or (None, None)
    with click_errors():
        from genrestack_training.data.groups.file import read_groups
        from genrestack_training.report.collection import collection_html, render_collection
        from genrestack_training.report.page import write_page
        from genrestack_training.served.against import load_original
        from genrestack_training.served.collection import TableColumns, evaluate_collection, read_collection
        from genrestack_training.served.model import describe, served_errors

        artists = None if groups is None else read_groups(groups)
        original = None
        if against is not None:
            click.echo("warning: unpickling runs code from the file; only open files you trust", err=True)
            original = load_original(against, scaler), against
        with served_errors(), client_or_loaded(ctx, connection, folder, name, version, timeout) as client:
            model = describe(client, name, version)
            with _table(collection, model) as file:
                found = evaluate_collection(
                    client,
                    model,
                    read_collection(file, model, TableColumns(label, track_column, artist_column)),
                    artists=artists,
                    name=collection.resolve().name,
                    original=original,
                    timeout=timeout,
                )
        for note in found.notes:
            click.echo(note, err=True)
        page = write_page(output, collection_html(found))
    _show(render_collection(found))
    click.echo(f"page: {page}")
    if opened:
        click.launch(str(page))
    if found.original is not None and found.original.differing:
        raise click.exceptions.Exit(1)


def _show(results: Any) -> None:
    from rich.console import Console

    Console().print(results)


@contextmanager
def _table(collection: Path, model: ServedModel) -> Iterator[Path]:
    """Yield the table: the file itself, or one made of a folder, for as long as the block."""
    if not collection.is_dir():
        yield collection
        return
    from genrestack_training.errors import TableError
    from genrestack_training.served.collection import check_genres

    if any(find_spec(library) is None for library in _LIBRARIES):
        raise click.ClickException(
            f'{collection} is a folder, and the features of recordings need: pip install "genrestack[audio]"; or '
            "name a table"
        )
    check_genres(collection, model)
    with tempfile.TemporaryDirectory(prefix="genrestack-") as place:
        file = Path(place) / "collection.csv"
        _compute_features(collection, file, model)
        try:
            yield file
        except TableError as error:
            # The file is of no use to anybody.
            raise TableError(str(error).replace(os.fspath(file), os.fspath(collection))) from error


def _compute_features(collection: Path, file: Path, model: "ServedModel") -> None:
    # As a person would: it computes in processes of its own, and says what it leaves out on standard error.
    words = ["features", os.fspath(collection.absolute()), "-o", os.fspath(file)]
    if model.extractor is not None:
        words.append(f"--kind={model.extractor.kind}")
    done = subprocess.run([sys.executable, "-m", "genrestack", *words], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise click.ClickException(
            f"{collection} has become no table, for the reason above; put recordings into one folder for each genre, "
            "or name a table"
        )
