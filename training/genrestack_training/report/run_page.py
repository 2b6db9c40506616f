"""The report of one run."""

from genrestack_training.proof import ExportProof
from genrestack_training.record import Record
from genrestack_training.report.inside import inside_sections
from genrestack_training.report.origin import origin_sections
from genrestack_training.report.parts import Page
from genrestack_training.report.rendering import render_page
from genrestack_training.report.results import foremost, result_sections, tiles
from genrestack_training.report.text import meaning


def report_html(record: Record, proof: ExportProof | None = None) -> str:
    """Give the report of a run as one self-contained HTML page.

    Args:
        record: the facts of the run.
        proof: of its export, if there was one.

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
        sections=(*result_sections(record), *inside_sections(record), *origin_sections(record, proof)),
    )
    return render_page(page)
