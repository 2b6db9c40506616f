"""Reports as files: a page's parts as one HTML file that needs nothing from anywhere else."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genrestack_training.comparison import Comparison
from genrestack_training.errors import RunError
from genrestack_training.report.comparison import comparison_html
from genrestack_training.report.introspection import inside_sections
from genrestack_training.report.origin import origin_sections
from genrestack_training.report.parts import Page
from genrestack_training.report.rendering import render_page
from genrestack_training.report.results import foremost, result_sections, tiles
from genrestack_training.report.text import meaning
from genrestack_training.run.export_record import ExportRecord, read_export_record
from genrestack_training.run.run_record import Record
from genrestack_training.run.storage import find_run, read_record


def report_html(record: Record, exported: ExportRecord | None = None) -> str:
    """Give the report of a run as one self-contained HTML page.

    Args:
        record: the facts of the run.
        exported: its latest export, if there was one.

    """
    facts = record.provenance
    best = foremost(record)
    lead = record.contrast or (facts.split_meaning if best is None else meaning(best))
    page = Page(
        title=record.name,
        kind="Training report",
        subtitle=f"Preset {facts.preset} on {facts.data_file}, {facts.created}",
        tiles=tiles(record),
        lead=(lead,),
        notes=facts.warnings,
        sections=(*result_sections(record), *inside_sections(record), *origin_sections(record, exported)),
    )
    return render_page(page)


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
        return _written(Path(output), page)
    # Written beside and renamed: a link that somebody has laid there is replaced, and not what it leads to.
    beside = folder / f".report-{secrets.token_hex(8)}"
    with _writing(folder / "report.html") as file:
        try:
            with beside.open("x", encoding="utf-8") as new:
                new.write(page)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    return file


def write_comparison(comparison: Comparison, output: str | Path) -> Path:
    """Write two runs side by side.

    Raises:
        RunError: the file cannot be written.

    """
    return _written(Path(output), comparison_html(comparison))


def _written(file: Path, page: str) -> Path:
    with _writing(file):
        file.write_text(page, encoding="utf-8")
    return file


@contextmanager
def _writing(file: Path) -> Iterator[Path]:
    try:
        yield file
    except OSError as exc:
        raise RunError(f"cannot write {file}: {exc.strerror}; choose another file with --output") from exc
