"""A run of our own becomes a bundle: its figures, report and provenance go along."""

from pathlib import Path
from typing import TYPE_CHECKING

from genrestack_bundle.layout import METRICS, REPORT
from genrestack_export.exporter import export_stack
from genrestack_export.parts import Precision
from genrestack_proto.v1.model_pb2 import Provenance

if TYPE_CHECKING:
    from genrestack_training import Run


def export_run(run: "Run", models_dir: str | Path, *, name: str | None = None, precision: Precision = "single") -> Path:
    """Export a run as the next version of a model, named like the run unless `name` says otherwise.

    Returns:
        `models_dir/<name>/<version>`.

    Raises:
        ExportError, ParityError, BundleError: as `export_stack`.

    """
    facts = run.provenance
    return export_stack(
        run.stack,
        run.scaler,
        feature_names=run.feature_names,
        classes=run.classes,
        reference_rows=run.reference_rows,
        training_rows=run.training_rows,
        models_dir=models_dir,
        name=name or run.name,
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
        report=_written(run.path),
    )


def _written(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    return {name: (folder / name).read_bytes() for name in (METRICS, REPORT) if (folder / name).is_file()}
