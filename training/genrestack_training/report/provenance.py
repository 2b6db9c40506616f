"""Where a run comes from, and what its export is worth."""

from collections.abc import Iterator, Mapping
from typing import Any

from genrestack_training.report.parts import Exhibit, Grid, Section
from genrestack_training.report.text import clean
from genrestack_training.run.export_record import ExportRecord
from genrestack_training.run.run_record import RunRecord


def provenance_sections(record: RunRecord, exported: ExportRecord | None) -> Iterator[Section]:
    """Give the sections on the export and on provenance."""
    if exported is not None:
        yield _parity(exported)
    yield Section(
        "provenance",
        "Where it comes from",
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
        f"The exported graphs and the stack they were made from were asked about the same {parity.rows} rows: "
        f"{parity.labels_agreed} of {parity.rows} answers agree, and no probability differs by more than "
        f"{_tiny(parity.max_abs_difference)} (allowed: {_tiny(parity.tolerance)}).{ties}"
    )
    rows = [("Whole stack", _tiny(parity.max_abs_difference), _tiny(parity.tolerance))]
    rows += [(clean(p.name), _tiny(p.max_abs_difference), _tiny(p.tolerance)) for p in parity.parts]
    head = ("Part", "Largest difference of a probability", "Allowed")
    grid = Grid(f"Export as model {clean(exported.model)}, precision {exported.precision}", head, tuple(rows))
    return Section("parity", "The export answers what the stack answers", (line,), (Exhibit(grid=grid),))


def _tiny(value: float) -> str:
    return f"{value:.1e}".replace("-", "−")


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    facts = record.provenance
    yield "Table", facts.data_file
    yield "SHA-256 of the table", facts.data_sha256
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
    """Give each section of the settings that this stack uses, on one line."""
    used = {"split", "scaler", "stack", "meta", *settings["stack"]["estimators"]}
    for name, values in settings.items():
        if name in used:
            yield f"[{name}]", ", ".join(f"{key} = {value}" for key, value in values.items())
