"""What a manifest says of a model beside its parts: features, classes, provenance, files."""

import importlib.metadata
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.layout import METRICS, REPORT
from genrestack_export.errors import ExportError
from genrestack_export.finding.class_names import name_classes
from genrestack_export.parity.rows import seen_range
from genrestack_export.source_stack import SourceStack
from genrestack_proto.v1.model_pb2 import Feature, Provenance

# At most this many names are listed in a message.
_SHOWN = 12
_LIBRARIES = ("keras", "numpy", "onnx", "onnxruntime", "scikeras", "scikit-learn", "skl2onnx", "tensorflow", "tf2onnx")


def check_names(source: SourceStack, names: list[str], classes: Any) -> list[str]:
    """Return the classes' names, once the features' names are those of the fit.

    Raises:
        ExportError: they are not.

    """
    if not all(isinstance(name, str) for name in names):
        raise ExportError("feature names have to be text; pass [str(name) for name in names]")
    if len(names) != source.features:
        raise ExportError(
            f"{len(names)} feature names were given, but the stack takes {source.features} columns; "
            "give the columns it was fitted on, all of them and no others"
        )
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise ExportError(f"duplicate feature names: {', '.join(doubled[:_SHOWN])}; give each column its own name")
    source.check_order(names)
    if classes is None:
        return [str(code) for code in source.stack.classes_]
    return list(name_classes(classes, source.stack.classes_))


def describe_features(
    names: list[str], seen: npt.NDArray[np.float64] | None, accepts: npt.NDArray[np.bool_]
) -> list[Feature]:
    """Return what the manifest says of each feature: its name, and what the training rows hold."""
    features = [Feature(name=name, accepts_missing=bool(may)) for name, may in zip(names, accepts, strict=True)]
    if seen is None:
        return features
    for feature, low, high, column in zip(features, *seen_range(seen), seen.T, strict=True):
        if np.isfinite(low):
            feature.seen_min, feature.seen_max = float(low), float(high)
            with np.errstate(over="ignore", invalid="ignore"):
                mean, deviation = float(np.nanmean(column)), float(np.nanstd(column))
            if np.isfinite(deviation):
                feature.mean, feature.standard_deviation = mean, deviation
    return features


def fill_provenance(given: Provenance | None) -> Provenance:
    """Return a provenance with library versions and date, where it lacks them."""
    filled = Provenance()
    if given is not None:
        filled.CopyFrom(given)
    for library in _LIBRARIES:
        if library not in filled.library_versions:
            try:
                filled.library_versions[library] = importlib.metadata.version(library)
            except importlib.metadata.PackageNotFoundError:
                continue
    filled.created = filled.created or datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return filled


def extra_files(metrics: Mapping[str, float] | None, report: Mapping[str, bytes] | None) -> dict[str, bytes]:
    """Return the files that lie in a bundle beside its graphs.

    Raises:
        ExportError: there is one that a bundle does not hold.

    """
    files = dict(report or {})
    unknown = sorted(set(files) - {REPORT, METRICS})
    if unknown:
        raise ExportError(f"report takes {REPORT} and {METRICS}, not {', '.join(unknown)}")
    if metrics and METRICS not in files:
        files[METRICS] = (json.dumps(dict(metrics), indent=2) + "\n").encode()
    return files
