"""`export_model`: the model in whatever somebody keeps it in becomes a bundle."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from genrestack_export.converters.parts import Precision
from genrestack_export.exporter import export_source
from genrestack_export.finding.columns import column_names, select_columns
from genrestack_export.finding.unwrap import unwrap
from genrestack_export.options import ExportOptions, Files
from genrestack_proto.v1.model_pb2 import Parity, Provenance


def export_model(
    obj: Any,
    scaler: Any = None,
    *,
    feature_names: Sequence[str] | None = None,
    classes: Any = None,
    reference_rows: npt.ArrayLike,
    models_dir: str | Path,
    name: str,
    precision: Precision = "single",
    training_rows: npt.ArrayLike | None = None,
    neighbors: bool = False,
    row_names: Sequence[str] | None = None,
    metrics: Mapping[str, float] | None = None,
    provenance: Provenance | None = None,
    report: Files | Callable[[Parity], Files] | None = None,
) -> Path:
    """Export the model in whatever wraps it, as the next version of a model.

    Args:
        obj: a fitted stack, a `Pipeline` that ends with one, a search over one, or a dict, tuple or list of a stack
            and what belongs to it: scaler, label encoder, names.
        scaler: the fitted transformer in front of it, if `obj` does not contain it.
        feature_names: names of the raw columns, in the order of the fit; default: those that it was fitted with.
        classes: a fitted `LabelEncoder`, names in the order of the model's `classes_`, or a dict from code to name;
            default: what `obj` contains, or the `str` of `classes_`.
        reference_rows: raw rows the model was not fitted on, shape (n, f), n ≥ 1; of a DataFrame the columns that the
            model was fitted on are taken by their names.
        models_dir: as for `export_stack`, like all that follows.
        name: the model's name.
        precision: "single" or "double".
        training_rows: raw rows the model was fitted on, shape (m, f).
        neighbors: also write the search for the nearest training rows, as for `export_stack`.
        row_names: names of the rows the model was fitted on, likewise.
        metrics: headline metrics for the manifest, by name.
        provenance: where the model comes from.
        report: `report.html` and `metrics.json`, or what makes them.

    Returns:
        `models_dir/<name>/<version>`.

    Raises:
        UnsupportedEstimator: an estimator or parameter has no exact graph.
        ExportError: an argument is not what it has to be, or `obj` holds several models.
        ParityError: the graphs do not answer what the original answers; nothing is written.
        BundleError: the bundle cannot be written.

    """
    source = unwrap(obj, scaler, classes)
    options = ExportOptions(
        models_dir=models_dir,
        name=name,
        classes=source.classes,
        precision=precision,
        neighbors=neighbors,
        row_names=row_names,
        metrics=metrics,
        provenance=provenance,
        report=report,
    )
    names = column_names(source, feature_names, reference_rows)
    training = None if training_rows is None else select_columns(training_rows, names)
    return export_source(source, names, select_columns(reference_rows, names), training, options)
