"""The report of a run: its results, the stack inside, the parity check of its export, and where it comes from."""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genrestack_training.report.introspection import introspection_sections
from genrestack_training.report.page import Exhibit, Grid, Page, Section, render_page, write_errors, write_page
from genrestack_training.report.results import primary_evaluation, result_sections, tiles
from genrestack_training.report.text import clean, describe_split
from genrestack_training.run.export_record import ExportRecord, read_export_record
from genrestack_training.run.run_record import RunRecord
from genrestack_training.run.storage import find_run, read_record


def report_html(record: RunRecord, exported: ExportRecord | None = None) -> str:
    """Render the report of a run as one self-contained HTML page.

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
        sections=(*result_sections(record), *introspection_sections(record), *_provenance_sections(record, exported)),
    )
    return render_page(page)


def write_report(run: str | Path, output: str | Path | None = None) -> Path:
    """Regenerate the report of a run.

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
        return write_page(Path(output), page)
    # Written beside and renamed: a link that somebody has laid there is replaced, and not what it leads to.
    beside = folder / f".report-{secrets.token_hex(8)}"
    with write_errors(folder / "report.html") as file:
        try:
            with beside.open("x", encoding="utf-8") as new:
                new.write(page)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    return file


def _provenance_sections(record: RunRecord, exported: ExportRecord | None) -> Iterator[Section]:
    """Yield the sections on the export and on provenance."""
    if exported is not None:
        yield _parity(exported)
    yield Section(
        "provenance",
        "Provenance",
        (),
        (
            Exhibit(grid=Grid("The run", ("What", "Value"), tuple(_facts(record)), texts=2)),
            Exhibit(grid=Grid("Settings", ("Section", "Values"), tuple(settings_lines(record.settings)), texts=2)),
        ),
    )


def _parity(exported: ExportRecord) -> Section:
    parity = exported.parity
    ties = f" {parity.ties} rows on which nearest neighbours tie were left out." if parity.ties else ""
    line = (
        f"The exported graphs answer what the stack answers: on the same {parity.rows} rows, "
        f"{parity.labels_agreed} of {parity.rows} labels agree, and no probability differs by more than "
        f"{_tiny(parity.max_abs_difference)} (tolerance: {_tiny(parity.tolerance)}).{ties}"
    )
    rows = [("Whole stack", _tiny(parity.max_abs_difference), _tiny(parity.tolerance))]
    rows += [(clean(p.name), _tiny(p.max_abs_difference), _tiny(p.tolerance)) for p in parity.parts]
    head = ("Part", "Largest difference of a probability", "Tolerance")
    grid = Grid(f"Export as model {clean(exported.model)}, precision {exported.precision}", head, tuple(rows))
    return Section("parity", "Parity check of the export", (line,), (Exhibit(grid=grid),))


def _tiny(value: float) -> str:
    return f"{value:.1e}".replace("-", "−")


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    facts = record.provenance
    yield "Table", facts.data_file
    yield "SHA-256 of the table", facts.data_sha256
    if facts.extractor is not None:
        yield "Extractor", f"{facts.extractor.kind}, by a tagger of the SHA-256 {facts.extractor.sha256}"
    yield "Rows", f"{facts.row_count}, of which {facts.fitted_rows} were fitted"
    yield "Features", str(len(record.feature_names))
    yield "Classes", ", ".join(record.classes)
    yield "Preset", facts.preset
    yield "Split", facts.split
    yield "Seed", str(facts.seed)
    yield "Written", facts.created
    yield "Time to fit", f"{facts.fit_seconds:.0f} s"
    yield "Libraries", ", ".join(f"{name} {number}" for name, number in facts.library_versions.items())


def settings_lines(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each section of the settings that this stack uses, on one line."""
    used = {"table", "split", "scaler", "stack", "meta", *settings["stack"]["estimators"]}
    for name, values in settings.items():
        if name in used and any(values.values() if name == "table" else [True]):
            yield f"[{name}]", ", ".join(f"{key} = {value}" for key, value in values.items())
