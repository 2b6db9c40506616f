"""The `train` and `export` subcommands."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genrestack_training.config.presets import PRESETS
from genrestack_training.config.settings import BACKENDS, SPLIT_NAMES

if TYPE_CHECKING:
    from genrestack_training import Run

_MODELS = click.option(
    "--models",
    "models_dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("models"),
    show_default=True,
    help="Model repository the bundle goes to, as DIR/NAME/VERSION.",
)
_PRECISION = click.option(
    "--precision",
    type=click.Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="single: float32 where it is quicker, within 5e-4; double: float64 throughout, within 5e-6.",
)


@click.command(
    short_help="Train on a table, evaluate, and export the next version of the model.",
    epilog="Examples: genrestack train features_3_sec.csv --name gtzan · "
    "genrestack train features_3_sec.csv --split artist --groups artists.csv --folds 5",
)
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="notebook",
    show_default=True,
    help="The stack to fit; demo is the notebook's with a smaller network.",
)
@click.option(
    "--split",
    type=click.Choice(SPLIT_NAMES),
    default="random",
    show_default=True,
    help="Rows held back for the figures: a random fifth, whole recordings, whole artists, or none.",
)
@click.option("--groups", type=click.Path(path_type=Path), help="CSV of filename and group (an artist), for artist.")
@click.option("--track-column", metavar="NAME", help="Column naming a row's recording; default: read from filename.")
@click.option("--artist-column", metavar="NAME", help="Column naming a row's artist, in place of --groups.")
@click.option("--folds", type=click.IntRange(min=2), help="Cross-validate as well, over so many folds of groups.")
@click.option(
    "--compare",
    type=click.Choice(["auto", "none", "random", "track", "artist"]),
    multiple=True,
    default=["auto"],
    show_default=True,
    help="Splits to fit and measure beside it, once for each; auto: after a random split, those that keep recordings "
    "and artists whole, where they are known. none saves the time.",
)
@_MODELS
@click.option("--name", help="The model's name; default: the table's file name.")
@click.option("--run", "run_dir", type=click.Path(path_type=Path), help="Folder of the run; default: runs/NAME/TIME.")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True, help="One seed for everything.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of the network, in place of the preset's.")
@click.option(
    "--jobs", type=click.IntRange(min=1), show_default="one for each CPU, for long work", help="Fits at once."
)
@click.option(
    "--backend", type=click.Choice(BACKENDS), default="local", show_default=True, help="Where fits run: here, or Ray."
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    show_default="RAY_ADDRESS, or a cluster of this machine for the run",
    help="The Ray cluster.",
)
@click.option("--settings", type=click.Path(path_type=Path), help="TOML file with other hyperparameters.")
@click.option("--label", default="label", show_default=True, help="Name of the label column.")
@_PRECISION
def train(
    *,
    table: Path,
    preset: str,
    split: str,
    groups: Path | None,
    track_column: str | None,
    artist_column: str | None,
    folds: int | None,
    compare: tuple[str, ...],
    models_dir: Path,
    name: str | None,
    run_dir: Path | None,
    seed: int,
    epochs: int | None,
    jobs: int | None,
    backend: str,
    ray_address: str | None,
    settings: Path | None,
    label: str,
    precision: Any,
) -> None:
    """Train the stack on TABLE (.csv, .csv.gz or .parquet), report its figures, and export it.

    The run with its report goes to runs/NAME/TIME, the bundle to the model repository. Every export is proven: the
    ONNX graphs have to answer what the trained stack answers, or no bundle is written.
    """
    with _plain_errors():
        from genrestack_bundle.runtime.providers import check_wheels, installed_wheels
        from genrestack_export.preflight import check_comparable, check_writable
        from genrestack_training import load_table, read_groups, read_overrides
        from genrestack_training import train as fit
        from genrestack_training.report.progress_bar import terminal_progress
        from genrestack_training.run.storage import run_name

        # The proof would find it out only once everything is fitted.
        check_wheels(installed_wheels())
        loaded = load_table(table, label=label, track_column=track_column, artist_column=artist_column)
        for note in loaded.notes:
            click.echo(note, err=True)
        overrides = None if settings is None else read_overrides(settings)
        check_writable(models_dir, name or run_name(table))
        with terminal_progress() as progress:
            run = fit(
                loaded,
                preset=preset,
                split=split,
                artists=None if groups is None else read_groups(groups),
                folds=folds,
                compare=_compared(compare),
                overrides=overrides,
                epochs=epochs,
                seed=seed,
                name=name,
                run_dir=run_dir,
                jobs=jobs,
                backend=backend,
                ray_address=ray_address,
                progress=progress,
                before_fits=check_comparable,
            )
        _show(run)
        _export_run(run, models_dir, name, precision)


def _compared(names: tuple[str, ...]) -> tuple[str, ...] | None:
    if "auto" in names or "none" in names:
        if len(set(names)) > 1:
            raise click.UsageError("--compare auto and --compare none stand alone; name splits, or one of these")
        return None if "auto" in names else ()
    return names


@click.command(
    short_help="Export a run, or a pickled stack of your own, as a bundle.",
    epilog="Examples: genrestack export runs/gtzan/20260131T120000Z · "
    "genrestack export --stack stack.joblib --scaler scaler.joblib --rows held_back.csv --name mine",
)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@_MODELS
@click.option("--name", help="The model's name; default: the run's, or the stack's file name.")
@_PRECISION
@click.option("--stack", type=click.Path(path_type=Path), help="A pickled, fitted StackingClassifier, in place of RUN.")
@click.option("--scaler", type=click.Path(path_type=Path), help="The pickled scaler in front of it, if there is one.")
@click.option("--rows", type=click.Path(path_type=Path), help="Table of raw rows the stack was not fitted on.")
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
    with _plain_errors():
        if run is not None:
            from genrestack_training import load_run

            _export_run(load_run(run), models_dir, name, precision)
        elif stack is not None:
            if rows is None:
                raise click.UsageError("--stack needs --rows: a table of raw rows the stack was not fitted on")
            _export_pickles(stack, scaler, rows, label, models_dir, name or stack.name.split(".")[0], precision)


def _export_run(run: "Run", models_dir: Path, name: str | None, precision: Any) -> None:
    from genrestack_export.from_run import export_run

    click.echo("exporting: converting the parts, then proving them against the original …", err=True)
    _tell(export_run(run, models_dir, name=name, precision=precision), models_dir)


def _export_pickles(
    stack: Path, scaler: Path | None, rows: Path, label: str, models_dir: Path, name: str, precision: Any
) -> None:
    from genrestack_export.exporter import export_stack
    from genrestack_export.pickles import load_pickle
    from genrestack_training import load_table

    click.echo("warning: unpickling runs code from the file; only open files you trust", err=True)
    table = load_table(rows, label=label, need_label=False)
    for note in table.notes:
        click.echo(note, err=True)
    fitted = load_pickle(stack)
    fitted_scaler = None if scaler is None else load_pickle(scaler)
    click.echo("exporting: converting the parts, then proving them against the original …", err=True)
    path = export_stack(
        fitted,
        fitted_scaler,
        feature_names=table.feature_names,
        reference_rows=table.features,
        models_dir=models_dir,
        name=name,
        precision=precision,
    )
    _tell(path, models_dir)


def _show(run: "Run") -> None:
    from rich.console import Console

    from genrestack_training.report.console import render

    console = Console()
    console.print(render(run))
    if run.path is not None:
        console.print(
            f"run: {run.path} (open {run.path / 'report.html'} in a browser)", highlight=False, soft_wrap=True
        )


def _tell(path: Path, models_dir: Path) -> None:
    from genrestack_bundle.manifest import read_manifest
    from genrestack_bundle.parity import describe

    parity = read_manifest(path).parity
    ties = f"; {parity.ties} rows left out on which nearest neighbours tie"
    click.echo(f"proven against the original: {describe(parity)}{ties}")
    click.echo(f"bundle: {path}")
    click.echo(f"next: genrestack serve {models_dir}")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn what a person can act on into one line, and warnings meant for people into lines of their own."""
    from genrestack_bundle import BundleError
    from genrestack_export.errors import ExportError
    from genrestack_training import TrainingError

    shown = warnings.showwarning
    with warnings.catch_warnings():
        warnings.showwarning = _one_line(shown)
        try:
            yield
        except (BundleError, ExportError, TrainingError) as error:
            raise click.ClickException(str(error)) from error
        except MemoryError as error:
            raise click.ClickException("memory ran out; use fewer rows or a machine with more") from error


def _one_line(shown: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if category.__module__.startswith(("genrestack", "sklearn.exceptions")):
            click.echo(f"warning: {message}", err=True)
        elif category is not DeprecationWarning and category is not FutureWarning:
            shown(message, category, *place)

    return show
