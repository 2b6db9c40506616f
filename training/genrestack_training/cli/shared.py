"""What several commands of training share: options, messages, and the summary of an export."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from genrestack_training import Run

MODELS = click.option(
    "--models",
    "models_dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("models"),
    show_default=True,
    help="Model repository the bundle goes to, as DIR/NAME/VERSION.",
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="single: float32 where it is quicker, within 5e-4; double: float64 throughout, within 5e-6.",
)
NEIGHBORS = click.option(
    "--neighbors",
    is_flag=True,
    help="Also write the search for nearest training rows, so that answers can say what a song sounds like.",
)
ROW_NAMES = click.option(
    "--row-names", is_flag=True, help="With --neighbors: name these rows by their recordings, in the bundle too."
)


def check_row_names(*, neighbors: bool, row_names: bool) -> None:
    """Refuse names of training rows that nothing would show.

    Raises:
        click.UsageError: they are asked for without neighbours.

    """
    if row_names and not neighbors:
        raise click.UsageError("--row-names is for --neighbors; give both")


def export_and_report(
    run: "Run", models_dir: Path, name: str | None, precision: Any, *, neighbors: bool, row_names: bool
) -> Path:
    """Export a run, and print the result; return the bundle's folder."""
    from genrestack_training.run_export import export_run

    click.echo("exporting: converting the parts, then checking parity with the original …", err=True)
    path = export_run(run, models_dir, name=name, precision=precision, neighbors=neighbors, row_names=row_names)
    print_export(path, models_dir)
    return path


def print_export(path: Path, models_dir: Path) -> None:
    """Print an export's parity check, where the bundle is, and what to do next."""
    from genrestack_bundle.manifest import read_manifest
    from genrestack_bundle.parity import describe

    parity = read_manifest(path).parity
    ties = f"; {parity.ties} rows left out on which nearest neighbours tie"
    click.echo(f"parity with the original: {describe(parity)}{ties}")
    click.echo(f"bundle: {path}")
    click.echo(f"next: genrestack serve {models_dir}")


@contextmanager
def click_errors() -> Iterator[None]:
    """Convert errors that a person can act on into one line each, and warnings meant for people likewise."""
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
