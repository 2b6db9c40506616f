"""Reports as files: a page's parts as one HTML file that needs nothing from anywhere else."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from genrestack_training.comparison import RunComparison
from genrestack_training.errors import RunError
from genrestack_training.report.comparison import comparison_html
from genrestack_training.report.introspection import introspection_sections
from genrestack_training.report.parts import Page
from genrestack_training.report.provenance import provenance_sections
from genrestack_training.report.results import primary_evaluation, result_sections, tiles
from genrestack_training.report.text import clean, describe_split
from genrestack_training.run.export_record import ExportRecord, read_export_record
from genrestack_training.run.run_record import RunRecord
from genrestack_training.run.storage import find_run, read_record


def report_html(record: RunRecord, exported: ExportRecord | None = None) -> str:
    """Give the report of a run as one self-contained HTML page.

    Args:
        record: the facts of the run.
        exported: its latest export, if there was one.

    """
    facts = record.provenance
    best = primary_evaluation(record)
    lead = record.contrast or (facts.split_meaning if best is None else describe_split(best))
    page = Page(
        title=record.name,
        kind="Training report",
        subtitle=f"Preset {facts.preset} on {facts.data_file}, {facts.created}",
        tiles=tiles(record),
        lead=(lead,),
        notes=facts.warnings,
        sections=(*result_sections(record), *introspection_sections(record), *provenance_sections(record, exported)),
    )
    return render_page(page)


def render_page(page: Page) -> str:
    """Give the HTML of a page; every text on it is escaped."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return _template().render(page=page, style=Markup(style), version=version("genrestack")) + "\n"  # noqa: S704 - ours


@cache
def _template() -> Template:
    loader = PackageLoader(__package__)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_clean_text)
    return environment.get_template("page.html")


def _clean_text(value: object) -> object:
    """Take out of names from a table what HTML cannot hold."""
    return clean(value) if type(value) is str else value


def write_report(run: str | Path, output: str | Path | None = None) -> Path:
    """Write the report of a run anew.

    Args:
        run: the run's folder, or one with several runs in it, of which the latest is taken.
        output: where to; default: `report.html` in the run's folder.

    Returns:
        The file.

    Raises:
        RunError: the folder is not a whole run, or the file cannot be written.

    """
    folder = find_run(run)
    page = report_html(read_record(folder), read_export_record(folder))
    if output is not None:
        return _write(Path(output), page)
    # Written beside and renamed: a link that somebody has laid there is replaced, and not what it leads to.
    beside = folder / f".report-{secrets.token_hex(8)}"
    with _write_errors(folder / "report.html") as file:
        try:
            with beside.open("x", encoding="utf-8") as new:
                new.write(page)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    return file


def write_comparison(comparison: RunComparison, output: str | Path) -> Path:
    """Write two runs side by side.

    Raises:
        RunError: the file cannot be written.

    """
    return _write(Path(output), comparison_html(comparison))


def _write(file: Path, page: str) -> Path:
    with _write_errors(file):
        file.write_text(page, encoding="utf-8")
    return file


@contextmanager
def _write_errors(file: Path) -> Iterator[Path]:
    try:
        yield file
    except OSError as exc:
        raise RunError(f"cannot write {file}: {exc.strerror}; choose another file with --output") from exc
