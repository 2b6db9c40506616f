"""`genrestack predict`: rows of a table in, labels out."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from genrestack.commands._options import model_options, server_option, timeout_option

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from genrestack import Client, ModelInfo, Prediction
    from genrestack._columns import Batch, Columns
    from genrestack._table import Table
    from genrestack.commands._answers import Tally, Writer

BATCH_ROWS: Final = 256


@click.command(
    short_help="Predict a label for each row of a table.",
    epilog="Example: genrestack predict songs.csv --model gtzan --csv > answers.csv",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@server_option
@model_options
@click.option("--base", is_flag=True, help="Also show what each base estimator says.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
@click.option("--label", metavar="COLUMN", default="label", show_default=True, help="Column with the true label.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(0), default=20, show_default=True,
    help="Rows shown in the readable table; 0 for all. JSON and CSV always have all.",
)  # fmt: skip
@timeout_option(30.0, "How long to wait for the answer to one batch.")
def predict(
    files: tuple[Path, ...],
    server: str,
    model: str | None,
    version: int | None,
    base: bool,  # noqa: FBT001 - click's way
    form: str | None,
    label: str,
    limit: int,
    timeout: float,
) -> None:
    """Predict a label for each row of one or more tables (.csv, .csv.gz, .parquet).

    Columns are matched by name. `filename` is shown beside the answer, a column with the true labels gives the
    accuracy, other columns that are no features of the model are left out with a note.
    """
    from genrestack import Client
    from genrestack.commands._answers import Tally, make_writer

    _check_files(files)
    with Client(server, timeout=timeout) as client:
        info = client.model(model, version)
        writer = make_writer(form, info, base=base, limit=limit or sys.maxsize, several=len(files) > 1)
        tally = Tally()
        for path in files:
            _predict_file(client, info, path, label, writer, tally, base=base)
        writer.close(tally)
    for line in tally.lines(info.classes):
        click.echo(line, err=form is not None)


def _check_files(files: tuple[Path, ...]) -> None:
    # All of them, before the first answer is printed.
    from genrestack._table import TableError, is_table

    for path in files:
        if not is_table(path):
            raise TableError(f"{path} is not a table (.csv, .csv.gz, .parquet)")
        if not path.is_file():
            raise TableError(f"{path}: there is no such file")


def _predict_file(
    client: "Client", info: "ModelInfo", path: Path, label: str, writer: "Writer", tally: "Tally", *, base: bool
) -> None:
    from genrestack import InvalidInput
    from genrestack._columns import located, match_columns
    from genrestack._table import open_table
    from genrestack.commands._progress import reading

    with open_table(path, BATCH_ROWS) as table:
        columns = match_columns(table, info.feature_names, label)
        _note_ignored(path, columns.ignored)
        waiting: deque[Batch] = deque()
        rows = _rows(table, columns, waiting)
        with (
            reading(table, quiet=writer.streams) as advance,
            # The version is named, so that a newer one cannot take over in the middle of a table.
            closing(client.predict_stream(rows, model=info.name, version=info.version, base=base)) as predictions,
        ):
            try:
                _take(path, predictions, waiting, writer, tally, advance)
            except InvalidInput as error:
                raise located(error, path, waiting[0]) from error


def _take(
    path: Path,
    predictions: "Iterable[Prediction]",
    waiting: "deque[Batch]",
    writer: "Writer",
    tally: "Tally",
    advance: Callable[[int, int], object],
) -> None:
    from genrestack.commands._answers import Answers

    first = 0
    for prediction in predictions:
        batch = waiting.popleft()
        answers = Answers(path, first, batch.identifiers, batch.truths, prediction)
        first += len(prediction)
        tally.add(answers)
        writer.write(answers)
        advance(batch.position, first)


def _rows(table: "Table", columns: "Columns", waiting: "deque[Batch]") -> "Iterator[npt.NDArray[np.float64]]":
    from genrestack._columns import batches

    for batch in batches(table, columns):
        waiting.append(batch)
        yield batch.rows


def _note_ignored(path: Path, ignored: list[str]) -> None:
    from genrestack._table import named

    if ignored:
        noun = "column that is" if len(ignored) == 1 else "columns that are"
        click.echo(f"{path}: left out {len(ignored)} {noun} no feature of the model: {named(ignored)}", err=True)
