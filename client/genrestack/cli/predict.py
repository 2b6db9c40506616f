"""`genrestack predict`: rows of a table in, labels out; or songs in, genres out."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from genrestack.cli.connection import Connection, client_or_loaded, connection_options, models_option
from genrestack.cli.options import model_options, timeout_option
from genrestack.cli.songs.songs import SongOptions, predict_songs
from genrestack.cli.terminal import show_lines
from genrestack_common.text import printable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from genrestack import Client, ModelInfo, Prediction
    from genrestack.cli.tables.columns import Columns, TableBatch
    from genrestack.cli.tables.table import InputTable
    from genrestack.cli.writers import Tally, Writer

BATCH_ROWS: Final = 256
_SONG_OPTIONS: Final = ("plot", "window", "hop")
_TABLE_OPTIONS: Final = ("label", "limit")


@dataclass(frozen=True)
class TableOptions:
    """How tables are asked about and told."""

    base: bool
    form: str | None
    label: str
    """Column with the true label."""
    limit: int
    """Rows shown to people; 0 for all."""
    neighbors: int = 0
    """Nearest training rows named of each row."""


@click.command(
    short_help="Predict the genre of songs, or a label for each row of a table.",
    epilog="Example: genrestack predict song.mp3 --plot song.png · "
    "genrestack predict songs.csv --model gtzan --csv > answers.csv",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@connection_options
@models_option
@model_options
@click.option("--base", is_flag=True, help="Also show what each base estimator says.")
@click.option(
    "--neighbors", metavar="N", type=click.IntRange(0, 10), default=0, show_default=True,
    help="Also name this many nearest training rows; for models exported with --neighbors.",
)  # fmt: skip
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
@click.option("--plot", metavar="PICTURE", type=click.Path(path_type=Path), help="Songs: draw one's genres over time.")
@click.option(
    "--window", metavar="SECONDS", type=float, default=3.0, show_default=True,
    help="Songs: length of a window; that of the rows the model was trained on serves it best.",
)  # fmt: skip
@click.option("--hop", metavar="SECONDS", type=float, help="Songs: from one window to the next; default: a window.")
@click.option(
    "--label", metavar="COLUMN", default="label", show_default=True, help="Tables: column with the true label."
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(0), default=20, show_default=True,
    help="Tables: rows shown in the readable form; 0 for all. JSON and CSV always have all.",
)  # fmt: skip
@timeout_option(30.0, "How long to wait for the answer to one batch.")
@click.pass_context
def predict(
    ctx: click.Context,
    *,
    files: tuple[Path, ...],
    connection: Connection,
    folder: Path | None,
    model: str | None,
    version: int | None,
    base: bool,
    neighbors: int,
    form: str | None,
    plot: Path | None,
    window: float,
    hop: float | None,
    label: str,
    limit: int,
    timeout: float,
) -> None:
    """Predict the genre of songs, or a label for each row of tables.

    A server is asked; with --models, the models of a folder are loaded and asked without one.

    Songs: a FILE is a recording (wav, flac, ogg, mp3; other kinds through ffmpeg) or a folder of them. It is cut into
    windows, and its probabilities are the mean over them. One song is told in detail, several in a line each; those
    that cannot be read are named and left out, and the exit status is 1 at the end.

    Tables (.csv, .tsv, .txt, also packed, or .parquet): columns are matched by name. `filename` is shown beside the
    answer, a column with the true labels gives the accuracy, other columns that are not features of the model are left
    out with a note.
    """
    tables = _are_tables(ctx, files)
    with client_or_loaded(ctx, connection, folder, model, version, timeout) as client:
        if tables:
            _predict_tables(client, model, version, files, TableOptions(base, form, label, limit, neighbors))
        else:
            predict_songs(client, model, version, files, SongOptions(window, hop, base, form, plot, neighbors))


def _are_tables(ctx: click.Context, files: tuple[Path, ...]) -> bool:
    """Return, by their names, whether the files are tables; raises click.UsageError for tables and songs at once."""
    from genrestack.cli.tables.table import is_table

    tables = [path for path in files if is_table(path)]
    if tables and len(tables) < len(files):
        song = next(path for path in files if not is_table(path))
        raise click.UsageError(f"{tables[0]} is a table and {song} is none; give tables or songs, one kind at a time")
    if tables:
        _check_files(files)
    strange = _SONG_OPTIONS if tables else _TABLE_OPTIONS
    for name in strange:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is for {'songs, not for tables' if tables else 'tables, not for songs'}")
    return bool(tables)


def _predict_tables(
    client: "Client", model: str | None, version: int | None, files: tuple[Path, ...], options: "TableOptions"
) -> None:
    from genrestack.cli.writers import Tally, make_writer

    info = client.model(model, version)
    writer = make_writer(
        options.form,
        info,
        base=options.base,
        limit=options.limit or sys.maxsize,
        several=len(files) > 1,
        neighbors=options.neighbors,
    )
    tally = Tally()
    with _counted_on_failure(tally):
        for path in files:
            _predict_file(client, info, path, options, writer, tally)
    writer.close(tally)
    if options.form is not None and (headline := tally.headline()):
        click.echo(headline, err=True)
    for line in tally.notes(info.classes):
        show_lines(line, err=options.form is not None)


@contextmanager
def _counted_on_failure(tally: "Tally") -> Iterator[None]:
    """Report, of answers that are cut off, how many there were: a pipe or a file may hold them already."""
    from genrestack import DeadlineExceeded, Unavailable

    try:
        yield
    except (DeadlineExceeded, Unavailable) as error:
        if not tally.rows:
            raise
        raise click.ClickException(f"{error} (after the answers to {tally.rows:,} rows)") from error


def _check_files(files: tuple[Path, ...]) -> None:
    # All of them, before the first answer is printed.
    from genrestack.cli.tables.table_error import TableError

    for path in files:
        if path.is_dir():
            raise TableError(f"{path} is a folder; name the table in it")
        if not path.is_file():
            raise TableError(f"{path}: there is no such file; check the path")


def _predict_file(
    client: "Client", info: "ModelInfo", path: Path, options: TableOptions, writer: "Writer", tally: "Tally"
) -> None:
    from genrestack import InvalidInput
    from genrestack.cli.progress import reading
    from genrestack.cli.tables.columns import located, match_columns
    from genrestack.cli.tables.table import open_table
    from genrestack_common.extractors import Extractor

    with open_table(path, BATCH_ROWS, info.feature_names) as table:
        taken = None if info.extractor is None else Extractor(info.extractor.kind, info.extractor.sha256)
        columns = match_columns(table, info.feature_names, options.label, info.missing_features, taken)
        _note_ignored(path, columns.ignored)
        waiting: deque[TableBatch] = deque()
        rows = _rows(table, columns, waiting)
        with (
            reading(table, quiet=writer.streams) as advance,
            # The version is named, so that a newer one cannot take over in the middle of a table.
            closing(
                client.predict_stream(
                    rows, model=info.name, version=info.version, base=options.base, neighbors=options.neighbors
                )
            ) as predictions,
        ):
            try:
                _take(path, _described(info, predictions), waiting, writer, tally, advance)
            except InvalidInput as error:
                raise located(error, path, waiting[0]) from error


def _take(
    path: Path,
    predictions: "Iterable[Prediction]",
    waiting: "deque[TableBatch]",
    writer: "Writer",
    tally: "Tally",
    advance: Callable[[int, int], object],
) -> None:
    from genrestack.cli.writers import Answers

    first = 0
    for prediction in predictions:
        batch = waiting.popleft()
        answers = Answers(path, first, batch.identifiers, batch.truths, prediction)
        first += len(prediction)
        tally.add(answers)
        writer.write(answers)
        advance(batch.position, first)


def _described(info: "ModelInfo", predictions: "Iterable[Prediction]") -> "Iterator[Prediction]":
    from genrestack._core.model_answers import check_described

    for prediction in predictions:
        check_described(info, prediction)
        yield prediction


def _rows(table: "InputTable", columns: "Columns", waiting: "deque[TableBatch]") -> "Iterator[npt.NDArray[np.float64]]":
    from genrestack.cli.tables.columns import batches

    for batch in batches(table, columns):
        waiting.append(batch)
        yield batch.rows


def _note_ignored(path: Path, ignored: list[str]) -> None:
    from genrestack_common.text import quoted_list

    if ignored:
        noun = "column that is not a feature" if len(ignored) == 1 else "columns that are not features"
        click.echo(
            f"{printable(str(path))}: left out {len(ignored)} {noun} of the model: {quoted_list(ignored)}",
            err=True,
        )
