"""The `train` subcommand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genrestack_training.cli.shared import (
    MODELS,
    NEIGHBORS,
    PRECISION,
    ROW_NAMES,
    check_row_names,
    click_errors,
    export_and_report,
)
from genrestack_training.cli.table_options import table_option, table_settings, with_table
from genrestack_training.config.presets import PRESETS
from genrestack_training.config.settings import BACKENDS, MISSING, NORMALIZE_GAIN, SPLIT_NAMES

if TYPE_CHECKING:
    from genrestack_training import FitPlan, Run


@click.command(
    short_help="Train on a table, evaluate, and export the next version of the model.",
    epilog="Examples: genrestack train features_3_sec.csv --name gtzan · "
    "genrestack train features_3_sec.csv --split artist --groups artists.csv --folds 5 · "
    "genrestack train gtzan.csv mine.csv --split collection --holdout mine",
)
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
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
    help="What is held out as test rows: a random fifth, whole recordings, whole artists, one of the tables, or none.",
)
@click.option(
    "--holdout", metavar="NAME", help="For --split collection: the table held out, by its name before the dot."
)
@click.option("--groups", type=click.Path(path_type=Path), help="CSV of filename and group (an artist), for artist.")
@click.option("--track-column", metavar="NAME", help="Column naming a row's recording; default: read from filename.")
@click.option("--artist-column", metavar="NAME", help="Column naming a row's artist, in place of --groups.")
@click.option("--folds", type=click.IntRange(min=2), help="Cross-validate as well, over this many folds of groups.")
@click.option(
    "--compare",
    type=click.Choice(["auto", "none", "random", "track", "artist"]),
    multiple=True,
    default=["auto"],
    show_default=True,
    help="Splits to fit and evaluate beside it, once for each; auto: after a random split, those that keep recordings "
    "and artists whole, where they are known. none saves the time.",
)
@MODELS
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
@table_option("drop")
@table_option("features")
@click.option(
    "--missing",
    type=click.Choice(MISSING),
    envvar="GENRESTACK_TRAIN_MISSING",
    show_envvar=True,
    show_default="error",
    help="Missing values: refused, left out with their rows, or filled in with the median, by the model too.",
)
@click.option(
    "--normalize-gain",
    type=click.Choice(NORMALIZE_GAIN),
    show_default="the preset's: auto in best, else off",
    help="Divide out how loud a recording was made, so that a song turned down gets the same answer; auto: where the "
    "table has the columns for it.",
)
@PRECISION
@NEIGHBORS
@ROW_NAMES
def train(
    *,
    tables: tuple[Path, ...],
    preset: str,
    split: str,
    holdout: str | None,
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
    drop: tuple[str, ...] | None,
    features: tuple[str, ...] | None,
    missing: str | None,
    normalize_gain: str | None,
    precision: Any,
    neighbors: bool,
    row_names: bool,
) -> None:
    """Train the stack on TABLE (.csv, .tsv, .txt or .parquet), report its results, and export it.

    Of several tables each is a collection: their columns must agree, and results are reported for each. That is how
    some songs of your own are added to a larger table, and how one collection is held out from a fit of the others.

    The run with its report goes to runs/NAME/TIME, the bundle to the model repository. Every export passes a
    parity check: the ONNX graphs have to answer what the trained stack answers, or no bundle is written.
    """
    check_row_names(neighbors=neighbors, row_names=row_names)
    with click_errors():
        from genrestack_bundle.runtime.providers import check_wheels, installed_wheels
        from genrestack_export.preflight import check_writable
        from genrestack_training import read_groups, read_overrides
        from genrestack_training import train as fit
        from genrestack_training.data.collections import load_tables
        from genrestack_training.report.progress_bar import terminal_progress
        from genrestack_training.report.run_report import write_report
        from genrestack_training.run.storage import run_name

        # The parity check would find it out only once everything is fitted.
        check_wheels(installed_wheels())
        overrides = {} if settings is None else read_overrides(settings)
        choice = table_settings({"drop": drop, "features": features}, overrides)
        loaded = load_tables(
            tables,
            label=label,
            track_column=track_column,
            artist_column=artist_column,
            drop=choice.drop,
            features=choice.features,
            allow_missing=True,
        )
        for note in loaded.notes:
            click.echo(note, err=True)
        check_writable(models_dir, name or run_name(tables[0]))
        with terminal_progress() as progress:
            run = fit(
                loaded,
                preset=preset,
                split=split,
                holdout=holdout,
                artists=None if groups is None else read_groups(groups),
                folds=folds,
                compare=_compared(compare),
                overrides=with_table(overrides, choice),
                epochs=epochs,
                missing=missing,
                normalize_gain=normalize_gain,
                seed=seed,
                name=name or run_name(tables[0]),
                run_dir=run_dir,
                jobs=jobs,
                backend=backend,
                ray_address=ray_address,
                progress=progress,
                before_fits=_check_comparable,
                report=False,
            )
        _print_results(run)
        try:
            export_and_report(run, models_dir, name, precision, neighbors=neighbors, row_names=row_names)
        except BaseException:
            # The report waits for the export; a run that cannot be exported has one all the same.
            if run.path is not None:
                write_report(run.path)
            raise


def _compared(names: tuple[str, ...]) -> tuple[str, ...] | None:
    if "auto" in names or "none" in names:
        if len(set(names)) > 1:
            raise click.UsageError("--compare auto and --compare none stand alone; name splits, or one of these")
        return None if "auto" in names else ()
    return names


def _check_comparable(plan: "FitPlan") -> None:
    from genrestack_export.preflight import check_comparable

    check_comparable(
        feature_names=plan.feature_names,
        training_rows=plan.training_rows,
        reference_rows=plan.reference_rows,
        scaler=plan.scaler,
        neighbors=plan.neighbors(),
        accepts=plan.accepts_missing,
    )


def _print_results(run: "Run") -> None:
    from rich.console import Console

    from genrestack_training.report.console import render

    console = Console()
    console.print(render(run))
    if run.path is not None:
        console.print(
            f"run: {run.path} (open {run.path / 'report.html'} in a browser)", highlight=False, soft_wrap=True
        )
