"""Which graph an estimator becomes."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sklearn.calibration import CalibratedClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from genrestack_bundle.layout import is_safe_name
from genrestack_export.converters.calibrated import calibrated_graph
from genrestack_export.converters.keras_net import keras_graph
from genrestack_export.converters.knn import knn_graph, read_knn
from genrestack_export.converters.logistic import logistic_graph
from genrestack_export.converters.platt import platt_graph, takes_single
from genrestack_export.converters.scaler import scaler_graph
from genrestack_export.errors import UnsupportedEstimator
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_META, PART_KIND_SCALER, Part

Precision = Literal["single", "double"]

_SUPPORTED = "KNeighborsClassifier, SVC, CalibratedClassifierCV(SVC(), ensemble=False), scikeras KerasClassifier"
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
    """Convert the scaler."""
    return ConvertedPart(_part("scaler", PART_KIND_SCALER, "scaler.onnx", scaler), scaler_graph(scaler))


def convert_meta(estimator: Any) -> ConvertedPart:
    """Convert the meta-learner."""
    return ConvertedPart(
        _part("meta", PART_KIND_META, "meta.onnx", estimator), logistic_graph("the meta-learner", estimator)
    )


def convert_base(position: int, name: str, estimator: Any, features: int, *, single: bool) -> ConvertedPart:
    """Convert one base estimator.

    Args:
        position: its place in the stack, from 0.
        name: its name in the stack.
        estimator: fitted.
        features: number of columns it was fitted on.
        single: compute in float32 where that is quicker.

    Raises:
        UnsupportedEstimator: there is no exact graph for it.

    """
    where = f"base estimator {name!r}"
    part = _part(name, PART_KIND_BASE, _file(position, name), estimator)
    if type(estimator) is KNeighborsClassifier:
        return ConvertedPart(part, knn_graph(read_knn(where, estimator)))
    if type(estimator) is SVC:
        single = single and takes_single(estimator)
        part.parameters["kernel_dtype"] = "float32" if single else "float64"
        return ConvertedPart(part, platt_graph(where, estimator, single=single), single=single)
    if type(estimator) is CalibratedClassifierCV:
        return ConvertedPart(part, calibrated_graph(where, estimator))
    if _is_keras(estimator):
        return ConvertedPart(part, keras_graph(where, estimator, features), tolerance_double=1e-5)
    raise UnsupportedEstimator(where, type(estimator).__name__, _SUPPORTED)


def _is_keras(estimator: Any) -> bool:
    # By name: an import of scikeras brings in TensorFlow, which a stack without a network does not need.
    return any(
        kind.__name__ == "KerasClassifier" and kind.__module__.startswith("scikeras")
        for kind in type(estimator).__mro__
    )


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
    return {k: str(v) for k, v in sorted(values.items()) if isinstance(v, str | int | float | bool | list | tuple)}
