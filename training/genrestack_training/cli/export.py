"""The `export` subcommand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genrestack_common.text import listed, quoted_list
from genrestack_training.cli.shared import (
    MODELS,
    NEIGHBORS,
    PRECISION,
    ROW_NAMES,
    check_row_names,
    click_errors,
    export_and_report,
    print_export,
)

if TYPE_CHECKING:
    from genrestack_export.finding.source_model import SourceModel


@click.command(
    short_help="Export a run, or a pickled stack of your own, as a bundle.",
    epilog="Examples: genrestack export runs/gtzan/20260131T120000Z · "
    "genrestack export --stack stack.joblib --scaler scaler.joblib --rows held_back.csv --name mine · "
    "genrestack export --stack pipeline.joblib --rows held_back.csv --classes blues,jazz,rock --code network.py",
)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@MODELS
@click.option("--name", help="The model's name; default: the run's, or the stack's file name.")
@PRECISION
@NEIGHBORS
@ROW_NAMES
@click.option(
    "--stack",
    type=click.Path(path_type=Path),
    help="A pickle of your own, in place of RUN: a fitted stack, or what contains one.",
)
@click.option(
    "--scaler", type=click.Path(path_type=Path), help="The pickled scaler in front of it, if it is not in there."
)
@click.option("--rows", type=click.Path(path_type=Path), help="Table of raw rows the stack was not fitted on.")
@click.option("--onnx", type=click.Path(path_type=Path), help="Write the whole model as one ONNX file as well.")
@click.option("--label", default="label", show_default=True, help="Label column of --rows, which is left out.")
@click.option(
    "--classes",
    metavar="NAMES|FILE",
    help="Names for the classes of --stack, in their order: with commas between them, a text file of one a line, or a "
    "pickled LabelEncoder.",
)
@click.option(
    "--code",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A Python file to run first, which defines functions, classes or layers of your own. May be repeated.",
)
def export(
    *,
    run: Path | None,
    models_dir: Path,
    name: str | None,
    precision: Any,
    neighbors: bool,
    row_names: bool,
    stack: Path | None,
    scaler: Path | None,
    rows: Path | None,
    onnx: Path | None,
    label: str,
    classes: str | None,
    code: tuple[Path, ...],
) -> None:
    """Export RUN, the folder of a training, as the next version of a model.

    With --stack and --rows in place of RUN, somebody's own pickles are exported. The stack is found in a pipeline, a
    search, or a dict, tuple or list with its scaler and label encoder. Unpickling runs code from the file: only open
    files you trust. Those of RUN are read only if it and they are yours or root's, and nobody else may write to them.
    """
    if (run is None) == (stack is None):
        raise click.UsageError("name either a run's folder, or --stack with --rows")
    if run is not None and (scaler is not None or rows is not None):
        raise click.UsageError("--scaler and --rows belong to --stack; a run has its own")
    if run is not None and (classes is not None or code):
        raise click.UsageError("--classes and --code belong to --stack; a run names its classes and needs no code")
    check_row_names(neighbors=neighbors, row_names=row_names)
    if row_names and run is None:
        raise click.UsageError("--row-names is for a run, which knows its rows; export_model(row_names=…) takes others")
    with click_errors():
        if run is not None:
            from genrestack_training import load_run

            path = export_and_report(
                load_run(run), models_dir, name, precision, neighbors=neighbors, row_names=row_names
            )
        elif stack is not None:
            if rows is None:
                raise click.UsageError("--stack needs --rows: a table of raw rows the stack was not fitted on")
            files = _Pickles(stack, scaler, classes, code)
            title = name or stack.name.split(".")[0]
            path = _export_pickles(files, rows, label, models_dir, title, precision, neighbors)
        if onnx is not None:
            from genrestack_bundle import write_onnx

            click.echo(f"one ONNX file: {write_onnx(path, onnx)}")


@dataclass(frozen=True)
class _Pickles:
    """Somebody's own files, as they were named."""

    stack: Path
    scaler: Path | None
    classes: str | None
    code: tuple[Path, ...]


def _export_pickles(
    files: _Pickles,
    rows: Path,
    label: str,
    models_dir: Path,
    name: str,
    precision: Any,
    neighbors: bool,  # noqa: FBT001 - as the option
) -> Path:
    from genrestack_export.converters.transformers.imputer import fills_missing
    from genrestack_export.exporter import export_source
    from genrestack_export.finding.columns import shared_columns
    from genrestack_export.finding.own_code import own_code
    from genrestack_export.options import ExportOptions
    from genrestack_training import load_table
    from genrestack_training.data.missing import refuse_missing

    click.echo("warning: unpickling runs code from the file; only open files you trust", err=True)
    table = load_table(rows, label=label, need_label=False, allow_missing=True)
    for note in table.notes:
        click.echo(note, err=True)
    with own_code(files.code) as code:
        source = _find_model(files, code if files.code else None)
        columns = shared_columns(source, table.feature_names)
        if unknown := [column for column in table.feature_names if column not in columns]:
            click.echo(f"left out, since the model was not fitted on them: {quoted_list(unknown)}", err=True)
        used = table.features[:, [table.feature_names.index(column) for column in columns]]
        if not fills_missing(source.preprocessing):
            refuse_missing(replace(table, features=used, feature_names=tuple(columns)))
        click.echo("exporting: converting the parts, then checking parity with the original …", err=True)
        options = ExportOptions(
            models_dir=models_dir, name=name, classes=source.classes, precision=precision, neighbors=neighbors
        )
        path = export_source(source, columns, used, None, options)
    print_export(path, models_dir)
    return path


def _find_model(files: _Pickles, code: Mapping[str, Any] | None) -> "SourceModel":
    """Load the files, find the model in them, and print what was found."""
    from genrestack_export.finding.class_names import is_code, read_class_names
    from genrestack_export.finding.pickles import load_pickle
    from genrestack_export.finding.unwrap import unwrap

    fitted = load_pickle(files.stack, code)
    scaler = None if files.scaler is None else load_pickle(files.scaler, code)
    names = None if files.classes is None else read_class_names(files.classes)
    source = unwrap(fitted, scaler, names)
    click.echo(f"found: {source.found}", err=True)
    known = list(getattr(source.model, "classes_", ()))
    if known and source.classes is None and all(map(is_code, known)):
        click.echo(f"its classes are codes ({listed(known)}); name them with --classes", err=True)
    return source
