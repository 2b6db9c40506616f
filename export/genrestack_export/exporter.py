"""`export_stack`, `export_source`: a fitted stack becomes a bundle, after a parity check against the original."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle import ComposedSession, Golden, write_bundle
from genrestack_bundle.parity import largest_difference
from genrestack_bundle.runtime.compose import PROBABILITIES, compose
from genrestack_export.converters.nearest.neighbors import convert_neighbors
from genrestack_export.converters.nearest.novelty import NoveltyScale
from genrestack_export.converters.parts import (
    ConvertedPart,
    Precision,
    convert_base,
    convert_meta,
    convert_scaler,
    convert_whole,
)
from genrestack_export.errors import ExportError
from genrestack_export.finding.source_model import SourceModel
from genrestack_export.manifest.description import check_names, describe_features, extra_files, fill_provenance
from genrestack_export.manifest.gain_ranges import describe_gain
from genrestack_export.manifest.quantiles import describe_quantiles
from genrestack_export.onnx_graph.builder import ML_OPSET, OPSET
from genrestack_export.options import ExportOptions, Files
from genrestack_export.parity.comparison import ExpectedOutputs, ParityResult, check_parity, tolerances
from genrestack_export.parity.neighbors import check_neighbors
from genrestack_export.parity.rows import (
    as_table,
    check_rows,
    parity_tables,
    tied_rows,
    tied_within,
    warn_of_rounding,
)
from genrestack_export.remedies import check_probabilities
from genrestack_export.source_stack import SourceStack, predict_scaled, read_source_stack, rows_without_names
from genrestack_proto.v1.model_pb2 import (
    PRECISION_DOUBLE,
    PRECISION_SINGLE,
    Extractor,
    Model,
    Parity,
    Provenance,
)

# At most this many names are listed in a message.
_SHOWN = 12
# Where float32 moves a part further than this on the rows of the parity check, it computes in float64 after all.
_SINGLE_TARGET = 1e-4


def export_stack(
    stack: Any,
    scaler: Any,
    *,
    feature_names: Sequence[str],
    classes: Any = None,
    reference_rows: npt.ArrayLike,
    models_dir: str | Path,
    name: str,
    precision: Precision = "single",
    training_rows: npt.ArrayLike | None = None,
    accepts_missing: Collection[str] | None = None,
    neighbors: bool = False,
    row_names: Sequence[str] | None = None,
    novelty: NoveltyScale | None = None,
    metrics: Mapping[str, float] | None = None,
    provenance: Provenance | None = None,
    extractor: Extractor | None = None,
    report: Files | Callable[[Parity], Files] | None = None,
) -> Path:
    """Export a fitted stack as the next version of a model.

    Args:
        stack: a fitted `StackingClassifier`, or any other fitted classifier.
        scaler: the fitted scaler in front of it, or None.
        feature_names: names of the columns, in the order the scaler and the stack were fitted on.
        classes: names shown to people, in the order of `stack.classes_`, or the fitted `LabelEncoder` that made its
            labels; default: their `str`.
        reference_rows: raw (unscaled) rows the stack was not fitted on, float64, shape (n, f), n ≥ 1.
        models_dir: the model repository.
        name: the model's name.
        precision: "single" computes in float32 where it is quicker and within 5e-4 of the original; "double" computes
            in float64 wherever the original does.
        training_rows: raw rows the stack was fitted on, shape (m, f); gives the seen ranges, and exact copies to check.
        accepts_missing: features that a served row may lack (NaN), of those that `scaler` fills in; None: all of
            these. The rows above may hold NaN there.
        neighbors: also write the search for the nearest training rows of the stack's (first) KNN; the bundle is then of
            format 2.
        row_names: names of the rows the stack was fitted on, in the order of the fit, which go into the bundle and into
            answers; only with `neighbors`. None: rows are known by their numbers.
        novelty: what is usual among the training rows, so that answers can tell how far a row is from them; only with
            `neighbors`.
        metrics: headline metrics for the manifest, by name.
        provenance: where the model comes from; library versions and date are filled in where they are missing.
        extractor: what computed the features from recordings, where that was not done as for the published tables.
        report: `report.html` and `metrics.json`, by file name; or what makes them once the parity check has passed.

    Returns:
        `models_dir/<name>/<version>`.

    Raises:
        UnsupportedEstimator: an estimator or parameter has no exact graph.
        ExportError: an argument is not what it has to be.
        ParityError: the graphs do not answer what the original answers; nothing is written.
        BundleError: the bundle cannot be written.

    """
    options = ExportOptions(
        models_dir=models_dir,
        name=name,
        classes=classes,
        precision=precision,
        accepts_missing=accepts_missing,
        neighbors=neighbors,
        row_names=row_names,
        novelty=novelty,
        metrics=metrics,
        provenance=provenance,
        extractor=extractor,
        report=report,
    )
    return export_source(SourceModel(stack, scaler), feature_names, reference_rows, training_rows, options)


def export_source(
    given: SourceModel,
    feature_names: Sequence[str],
    reference_rows: npt.ArrayLike,
    training_rows: npt.ArrayLike | None,
    options: ExportOptions,
) -> Path:
    """Export a model that was found, with what belongs to it; arguments and errors are those of `export_stack`."""
    names = list(feature_names)
    report = options.report
    extra = None if callable(report) else extra_files(options.metrics, report)
    stack, scaler = given.model, given.preprocessing
    source = read_source_stack(stack, scaler)
    shown = check_names(source, names, options.classes)
    accepts = _accepting(source, reference_rows, names, options.accepts_missing)
    rows = check_rows("reference_rows", reference_rows, names, accepts)
    seen = None if training_rows is None else check_rows("training_rows", training_rows, names, accepts)
    single = options.precision == "single"
    # Converting is quick and refuses what is not supported; only then is the original asked, which may take long.
    around = [
        [convert_scaler(scaler)] if scaler is not None else [],
        [convert_meta(stack.final_estimator_, source.stacked_width)] if source.is_stack else [],
    ]
    parts = [_convert(source, position, single=single) for position in range(len(source.base))]
    search = convert_neighbors(source.base, options.row_names, options.novelty) if options.neighbors else None
    with rows_without_names():
        expected = _expected_outputs(source, rows, seen, names, accepts)
    _check_probabilities(source, expected.golden)
    parts = [_choose_precision(source, expected.golden, position, part) for position, part in enumerate(parts)]
    whole = [*around[0], *parts, *around[1]]
    model = Model(
        name=options.name,
        features=describe_features(names, seen, accepts),
        classes=shown,
        parts=[*(part.part for part in whole), *([] if search is None else [search.part])],
        format=2 if set(source.methods) != {"predict_proba"} else 1,
        passthrough=source.passthrough,
        opset=OPSET,
        ml_opset=ML_OPSET,
        precision=PRECISION_SINGLE if single else PRECISION_DOUBLE,
        metrics=dict(options.metrics or {}),
        provenance=fill_provenance(options.provenance),
        novelty=None if options.novelty is None else options.novelty.manifest,
        extractor=options.extractor,
    )
    describe_gain(model, scaler, seen)
    describe_quantiles(model, scaler, seen)
    graphs = {part.part.file: part.model.SerializeToString() for part in whole}
    result = _check_parity(model, graphs, expected, parts, options.precision)
    model.parity.CopyFrom(result.parity)
    golden = result.golden
    if search is not None:
        graphs[search.part.file] = search.model.SerializeToString()
        with rows_without_names():
            golden = check_neighbors(source, search, model, graphs, expected.golden, golden)
    if callable(report):
        extra = extra_files(options.metrics, report(result.parity))
    return write_bundle(Path(options.models_dir), model, graphs, golden, extra)


def _accepting(
    source: SourceStack, rows: npt.ArrayLike, names: list[str], chosen: Collection[str] | None
) -> npt.NDArray[np.bool_]:
    """Return which features may be missing in a served row, bool (f,).

    Raises:
        ExportError: one was chosen that is not a feature, or that the scaler does not fill in.

    """
    with rows_without_names():
        able = source.accepting(as_table("reference_rows", rows, names))
    if chosen is None:
        return able
    unable = [name for name in chosen if name not in {n for n, able_ in zip(names, able, strict=True) if able_}]
    if unable:
        raise ExportError(
            f"accepts_missing names {', '.join(map(repr, unable[:_SHOWN]))}, which the scaler does not fill in; fit an "
            "imputer on that feature, or leave it out"
        )
    return np.array([name in set(chosen) for name in names])


def _expected_outputs(
    source: SourceStack, rows: Any, seen: Any, names: list[str], accepts: npt.NDArray[np.bool_]
) -> ExpectedOutputs:
    """Predict the rows of the parity check with the original, without those on which a KNN ties."""
    tables = parity_tables(rows, seen, names, accepts)
    warn_of_rounding(rows, tables["reference row"], names)
    origins = [f"{kind} {i}" for kind, rows_of_kind in tables.items() for i in range(len(rows_of_kind))]
    wire = np.concatenate(list(tables.values()))
    scaled = source.scale_or_nan(wire.astype(np.float64))
    answered = answerable_rows(scaled, given=len(rows))
    tied = np.zeros(len(wire), dtype=np.bool_)
    tied[answered] = tied_rows(source.base, scaled[answered])
    if source.is_stack:
        tied[answered] |= tied_within(source.stack, scaled[answered])
    asked = answered & ~tied
    if not asked.any():
        raise ExportError("a KNN ties on every reference row, so nothing can be compared; pass other reference rows")
    origins = [place for place, kept in zip(origins, asked, strict=True) if kept]
    return ExpectedOutputs(predict_scaled(source, scaled[asked], wire[asked]), origins, int(tied.sum()))


def answerable_rows(scaled: npt.NDArray[np.float64], given: int) -> npt.NDArray[np.bool_]:
    """Return which rows the original can answer: a power transform overflows far outside what it was fitted on.

    Raises:
        ExportError: one of the `given` first rows, which came from the caller, is not answered.

    """
    answered = np.asarray(np.isfinite(scaled).all(axis=1))
    if not answered[:given].all():
        raise ExportError(
            f"reference row {int(np.argmin(answered[:given]))}: the scaler overflows, so the stack has no answer to "
            "it; pass rows like those it was fitted on"
        )
    return answered


def _check_probabilities(source: SourceStack, golden: Golden) -> None:
    for name, estimator in source.base.items():
        where = f"base estimator {name!r}" if source.is_stack else "the model"
        check_probabilities(where, estimator, golden.parts[name])
    if source.is_stack:
        check_probabilities("the model", source.stack, golden.probabilities)


def _convert(source: SourceStack, position: int, *, single: bool) -> ConvertedPart:
    name, estimator = list(source.base.items())[position]
    if not source.is_stack:
        return convert_whole(estimator, source.width, single=single)
    return convert_base(position, name, estimator, source.width, single=single, method=source.methods[position])


def _choose_precision(source: SourceStack, expected: Golden, position: int, part: ConvertedPart) -> ConvertedPart:
    """Use a float32 part only where it is close enough on the rows of the parity check."""
    if not part.single:
        return part
    name = part.part.name
    session = _run_alone(part)
    with rows_without_names():
        scaled = source.scale(expected.rows.astype(np.float64))
    if largest_difference(session(scaled), expected.parts[name])[1] <= _SINGLE_TARGET:
        return part
    return _convert(source, position, single=False)


def _run_alone(part: ConvertedPart) -> Any:
    from genrestack_bundle.runtime.providers import import_onnxruntime

    ort = import_onnxruntime()
    session = ort.InferenceSession(part.model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda scaled: session.run([PROBABILITIES], {session.get_inputs()[0].name: scaled})[0]


def _check_parity(
    model: Model,
    graphs: dict[str, bytes],
    expected: ExpectedOutputs,
    parts: Sequence[ConvertedPart],
    precision: Precision,
) -> ParityResult:
    names = [part.part.name for part in parts]
    session = ComposedSession(compose(model, graphs), part_names=names, provider="cpu")
    single = any(part.single for part in parts)
    return check_parity(session, expected, tolerances(parts, precision), single=single)
