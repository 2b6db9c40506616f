"""A run of our own becomes a bundle: its figures, report and provenance go along."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genrestack_bundle.layout import METRICS, REPORT
from genrestack_bundle.manifest import read_manifest
from genrestack_export.converters.nearest.knn import read_knn
from genrestack_export.converters.nearest.neighbors import find_knn
from genrestack_export.converters.nearest.novelty import NoveltyScale
from genrestack_export.converters.parts import Precision
from genrestack_export.errors import ExportError
from genrestack_export.exporter import export_stack
from genrestack_proto.v1.model_pb2 import Extractor, Provenance
from genrestack_training.run.export_record import ExportRecord, write_export_record

if TYPE_CHECKING:
    from genrestack_training import Run


def export_run(
    run: "Run",
    models_dir: str | Path,
    *,
    name: str | None = None,
    precision: Precision = "single",
    neighbors: bool = False,
    row_names: bool = False,
) -> Path:
    """Export a run as the next version of a model, named like the run unless `name` says otherwise.

    Args:
        run: what to export.
        models_dir: the model repository.
        name: the model's name.
        precision: "single" or "double".
        neighbors: also write the search for the nearest training rows.
        row_names: name these by their recordings; the names go into the bundle and into answers.

    Returns:
        `models_dir/<name>/<version>`.

    Raises:
        ExportError: the training rows are to be named, and the run does not know their recordings.
        ExportError, ParityError, BundleError: as `export_stack`.

    """
    if row_names and run.training_names is None:
        raise ExportError(
            "row names: the run does not know which recordings its rows come from; train again on a table with a "
            "column filename, or with --track-column"
        )
    facts, named = run.provenance, name or run.name
    path = export_stack(
        run.stack,
        run.scaler,
        feature_names=run.feature_names,
        classes=run.classes,
        reference_rows=run.reference_rows,
        training_rows=run.training_rows,
        accepts_missing=run.accepts_missing,
        neighbors=neighbors,
        row_names=run.training_names.tolist() if row_names and run.training_names is not None else None,
        novelty=_novelty(run) if neighbors else None,
        models_dir=models_dir,
        name=named,
        precision=precision,
        metrics=run.metrics,
        provenance=Provenance(
            data_sha256=facts.data_sha256,
            row_count=facts.row_count,
            library_versions=dict(facts.library_versions),
            seed=facts.seed,
            created=facts.created,
            preset=facts.preset,
            split=facts.split,
        ),
        extractor=None
        if facts.extractor is None
        else Extractor(kind=facts.extractor.kind, sha256=facts.extractor.sha256),
        report=lambda parity: _report(run, ExportRecord(named, precision, parity)),
    )
    _keep(run.path, path, ExportRecord(named, precision, read_manifest(path).parity))
    return path


def _novelty(run: "Run") -> NoveltyScale | None:
    """Measure what is usual among the training rows; None where the run does not know which belong together."""
    if run.training_groups is None:
        return None
    from genrestack_training.evaluation.novelty import novelty_scale

    name, knn = find_knn(run.stack.named_estimators_)
    found = read_knn(f"base estimator {name!r}", knn)
    songs = run.training_groups if run.training_names is None else run.training_names
    return novelty_scale(found.points, found.labels, songs, run.training_groups, unit=run.group_unit)


def _report(run: "Run", exported: ExportRecord) -> dict[str, bytes]:
    """Return the files of a run that was written, the report with the parity check in it."""
    if run.path is None:
        return {}
    from genrestack_training.report.run_report import report_html
    from genrestack_training.run.run_record import RunRecord

    report = report_html(RunRecord.from_run(run), exported).encode()
    metrics = run.path / METRICS
    return {REPORT: report} | ({METRICS: metrics.read_bytes()} if metrics.is_file() else {})


def _keep(folder: Path | None, bundle: Path, exported: ExportRecord) -> None:
    """Write the parity check and the report with it into the run, too."""
    if folder is None:
        return
    # A run that cannot be written to can be exported all the same: the bundle's report has it.
    with suppress(OSError):
        write_export_record(folder, exported)
        (folder / REPORT).write_bytes((bundle / REPORT).read_bytes())
