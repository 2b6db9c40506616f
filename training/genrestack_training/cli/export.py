"""The `export` subcommand."""

from pathlib import Path
from typing import Any

import click

from genrestack_training.cli.shared import MODELS, PRECISION, click_errors, export_and_report, print_export


@click.command(
    short_help="Export a run, or a pickled stack of your own, as a bundle.",
    epilog="Examples: genrestack export runs/gtzan/20260131T120000Z · "
    "genrestack export --stack stack.joblib --scaler scaler.joblib --rows held_back.csv --name mine",
)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@MODELS
@click.option("--name", help="The model's name; default: the run's, or the stack's file name.")
@PRECISION
@click.option("--stack", type=click.Path(path_type=Path), help="A pickled, fitted StackingClassifier, in place of RUN.")
@click.option("--scaler", type=click.Path(path_type=Path), help="The pickled scaler in front of it, if there is one.")
@click.option("--rows", type=click.Path(path_type=Path), help="Table of raw rows the stack was not fitted on.")
@click.option("--onnx", type=click.Path(path_type=Path), help="Write the whole model as one ONNX file as well.")
@click.option("--label", default="label", show_default=True, help="Label column of --rows, which is left out.")
def export(
    *,
    run: Path | None,
    models_dir: Path,
    name: str | None,
    precision: Any,
    stack: Path | None,
    scaler: Path | None,
    rows: Path | None,
    onnx: Path | None,
    label: str,
) -> None:
    """Export RUN, the folder of a training, as the next version of a model.

    With --stack and --rows in place of RUN, somebody's own pickles are exported. Unpickling runs code from the file:
    only open files you trust. Those of RUN are read only if it and they are yours or root's, and nobody else may write
    to them.
    """
    if (run is None) == (stack is None):
        raise click.UsageError("name either a run's folder, or --stack with --rows")
    if run is not None and (scaler is not None or rows is not None):
        raise click.UsageError("--scaler and --rows belong to --stack; a run has its own")
    with click_errors():
        if run is not None:
            from genrestack_training import load_run

            path = export_and_report(load_run(run), models_dir, name, precision)
        elif stack is not None:
            if rows is None:
                raise click.UsageError("--stack needs --rows: a table of raw rows the stack was not fitted on")
            path = _export_pickles(stack, scaler, rows, label, models_dir, name or stack.name.split(".")[0], precision)

        if onnx is not None:
            from genrestack_bundle import write_onnx

            click.echo(f"one ONNX file: {write_onnx(path, onnx)}")


def _export_pickles(
    stack: Path, scaler: Path | None, rows: Path, label: str, models_dir: Path, name: str, precision: Any
) -> Path:
    from genrestack_export.exporter import export_stack
    from genrestack_export.pickles import load_pickle
    from genrestack_training import load_table

    click.echo("warning: unpickling runs code from the file; only open files you trust", err=True)
    table = load_table(rows, label=label, need_label=False)
    for note in table.notes:
        click.echo(note, err=True)
    fitted = load_pickle(stack)
    fitted_scaler = None if scaler is None else load_pickle(scaler)
    click.echo("exporting: converting the parts, then checking parity with the original …", err=True)
    path = export_stack(
        fitted,
        fitted_scaler,
        feature_names=table.feature_names,
        reference_rows=table.features,
        models_dir=models_dir,
        name=name,
        precision=precision,
    )
    print_export(path, models_dir)
    return path
