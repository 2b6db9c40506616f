"""Which graph a part becomes: what stands in front of the model, its members, its final estimator."""

from dataclasses import dataclass, field
from typing import Any, Literal

from genrestack_bundle.layout import is_safe_name
from genrestack_bundle.runtime.compose import CLASS_INDEX, FEATURES, PROBABILITIES, SCALED, STACKED

# Each of these modules fills the tables of who converts what.
from genrestack_export.converters import bayes, ensembles, lightgbm, linear, singles, trees
from genrestack_export.converters.context import Answer, Context, Table
from genrestack_export.converters.ensembles import stacked
from genrestack_export.converters.transformers import transforms
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, INT64, GraphBuilder
from genrestack_export.remedies import refuse_without_probabilities
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_META, PART_KIND_SCALER, Part

Precision = Literal["single", "double"]
CONVERTERS = (bayes, ensembles, lightgbm, linear, singles, transforms, trees)

_NAMES_OF_OTHERS = {"scaler", "meta", "neighbors", "golden", "manifest"}


@dataclass(frozen=True)
class ConvertedPart:
    """One estimator's graph and what the manifest says of it."""

    part: Part
    model: Any
    """The ONNX model."""
    tolerance_double: float = 1e-6
    """Largest difference of a probability that precision "double" may show."""
    single: bool = field(default=False)
    """True if it computes in float32 where the original has float64."""


def convert_scaler(scaler: Any) -> ConvertedPart:
    """Convert what stands in front of the model: raw rows, float32 (n, f) → `scaled`, float64 (n, m)."""
    c = Context(GraphBuilder(), "the scaler")
    f = int(scaler.n_features_in_)
    scaled = c.transform(scaler, Table(c.g.cast(FEATURES, DOUBLE), f))
    c.g.name_output(scaled.name, SCALED)
    model = c.g.model(
        type(scaler).__name__, {FEATURES: (FLOAT, ["rows", f])}, {SCALED: (DOUBLE, ["rows", scaled.width])}
    )
    return _finish(c, _part("scaler", PART_KIND_SCALER, "scaler.onnx", scaler), model)


def convert_meta(estimator: Any, width: int) -> ConvertedPart:
    """Convert the final estimator: `stacked`, float64 (n, width) → `class_index` and `probabilities`."""
    c = Context(GraphBuilder(), "the meta-learner")
    answer = c.classify(estimator, Table(STACKED, width))
    outputs = _whole(c, estimator, answer)
    model = c.g.model(type(estimator).__name__, {STACKED: (DOUBLE, ["rows", width])}, outputs)
    return _finish(c, _part("meta", PART_KIND_META, "meta.onnx", estimator), model)


def convert_whole(estimator: Any, features: int, *, single: bool) -> ConvertedPart:
    """Convert a model that is not a stack: `scaled`, float64 (n, f) → `class_index` and `probabilities`."""
    c = Context(GraphBuilder(), "the model", single=single)
    answer = c.classify(estimator, Table(SCALED, features))
    outputs = _whole(c, estimator, answer)
    model = c.g.model(type(estimator).__name__, {SCALED: (DOUBLE, ["rows", features])}, outputs)
    return _finish(c, _part("model", PART_KIND_BASE, "model.onnx", estimator), model)


def _whole(c: Context, estimator: Any, answer: Answer) -> dict[str, tuple[int, list[str | int]]]:
    if answer.probabilities is None:
        raise refuse_without_probabilities(c.where, estimator)
    c.g.name_output(answer.probabilities(), PROBABILITIES)
    c.g.name_output(c.index(answer), CLASS_INDEX)
    return {CLASS_INDEX: (INT64, ["rows"]), PROBABILITIES: (DOUBLE, ["rows", answer.classes])}


def convert_base(
    position: int, name: str, estimator: Any, features: int, *, single: bool, method: str = "predict_proba"
) -> ConvertedPart:
    """Convert one base estimator.

    Args:
        position: its place in the stack, from 0.
        name: its name in the stack.
        estimator: fitted.
        features: number of columns it was fitted on.
        single: compute in float32 where that is quicker.
        method: what the stack takes of it: predict_proba, decision_function or predict.

    Raises:
        UnsupportedEstimator: there is no exact graph for it.

    """
    c = Context(GraphBuilder(), f"base estimator {name!r}", single=single)
    answer = c.classify(estimator, Table(SCALED, features))
    # What has no probabilities answers for itself with its vote.
    if answer.probabilities is None:
        c.g.name_output(c.one_hot(c.index(answer), answer.classes), PROBABILITIES)
    else:
        c.g.name_output(answer.probabilities(), PROBABILITIES)
    outputs: dict[str, tuple[int, list[str | int]]] = {PROBABILITIES: (DOUBLE, ["rows", answer.classes])}
    if method != "predict_proba":
        columns = stacked(c, estimator, answer, method, answer.classes)
        c.g.name_output(columns.name, STACKED)
        outputs[STACKED] = (DOUBLE, ["rows", "columns"])
    model = c.g.model(type(estimator).__name__, {SCALED: (DOUBLE, ["rows", features])}, outputs)
    part = _part(name, PART_KIND_BASE, _file(position, name), estimator)
    if method != "predict_proba":
        part.parameters["stacked_by"] = method
    return _finish(c, part, model)


def _finish(c: Context, part: Part, model: Any) -> ConvertedPart:
    part.converters.extend(sorted(c.tools))
    part.dtype = "float32" if c.took_single or c.float32 or c.network else "float64"
    if "SVC" in part.estimator:
        part.parameters["kernel_dtype"] = "float32" if c.took_single else "float64"
    # What stands around a coupled SVC may enlarge its rounding: a sum of small shares is divided by itself.
    around = c.coupled and not part.estimator.endswith("SVC")
    loose = c.network or bool(c.float32) or around
    return ConvertedPart(part, model, tolerance_double=1e-5 if loose else 1e-6, single=c.took_single)


def _file(position: int, name: str) -> str:
    file = f"{name}.onnx"
    # Two names that differ by case alone are one file on many file systems.
    taken = name in _NAMES_OF_OTHERS or name.startswith("base-") or name != name.lower()
    return file if is_safe_name(file) and not taken else f"base-{position}.onnx"


def _part(name: str, kind: Any, file: str, estimator: Any) -> Part:
    cls = type(estimator)
    public = [module for module in cls.__module__.split(".") if not module.startswith("_")]
    return Part(
        name=name, kind=kind, file=file, estimator=".".join([*public, cls.__qualname__]), parameters=_plain(estimator)
    )


def _plain(estimator: Any) -> dict[str, str]:
    """Hyperparameters that are plain values, as text."""
    values = estimator.get_params(deep=False)
    # Members and steps are estimators; their text would be pages.
    kept = {k: v for k, v in values.items() if k not in {"steps", "estimators", "transformers", "transformer_list"}}
    kinds = (str, int, float, bool, list, tuple, dict)
    return {k: str(v) for k, v in sorted(kept.items()) if isinstance(v, kinds)}
