"""`SimpleImputer` as a graph: what fills missing values in, and marks where they were."""

from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_export.errors import UnsupportedEstimator
from genrestack_export.onnx_graph.builder import DOUBLE, GraphBuilder


def simple_imputer(g: GraphBuilder, imputer: Any, rows: str) -> str:
    """Add a fitted `SimpleImputer` of any strategy: float64 (n, f) → float64 (n, f'), indicators behind the features.

    A column that had no value in the fit is left out, as the original does, unless it keeps empty features.

    Raises:
        UnsupportedEstimator: it was fitted on text, or what counts as missing is not a number.

    """
    what = "the imputer"
    if imputer._fit_dtype.kind not in "fiu":
        raise UnsupportedEstimator(what, f"SimpleImputer fitted on {imputer._fit_dtype}", "one fitted on numbers")
    missing = _missing(g, what, imputer.missing_values, rows)
    statistics, kept = _statistics(imputer)
    columns = np.flatnonzero(kept)
    filled = g.node(
        "Where",
        _columns(g, missing, columns, len(kept)),
        g.constant(statistics[None], np.float64),
        _columns(g, rows, columns, len(kept)),
    )
    if not imputer.add_indicator or not len(imputer.indicator_.features_):
        return filled
    marks = _columns(g, missing, np.asarray(imputer.indicator_.features_), len(kept))
    return g.node("Concat", filled, g.cast(marks, DOUBLE), axis=1)


def fills_missing(preprocessing: Any) -> bool:
    """Return whether a `SimpleImputer` is, or is somewhere in, what stands in front of a stack."""
    if preprocessing is None:
        return False
    inside: dict[str, Any] = getattr(preprocessing, "get_params", dict)()
    return any(type(each).__name__ == "SimpleImputer" for each in (preprocessing, *inside.values()))


def _missing(g: GraphBuilder, what: str, value: Any, rows: str) -> str:
    """Add the test for what counts as missing: bool (n, f)."""
    if type(value).__name__ == "NAType" or (isinstance(value, float | np.floating) and np.isnan(value)):
        return g.node("IsNaN", rows)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise UnsupportedEstimator(what, f"SimpleImputer(missing_values={value!r})", "NaN or a number")
    return g.node("Equal", rows, g.scalar(float(value), np.float64))


def _statistics(imputer: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return what is filled in, and which columns are kept; a constant's are objects, of the type of the fit."""
    statistics = np.asarray(imputer.statistics_)
    empty = np.isnan(statistics.astype(np.float64))
    kept = np.ones(len(statistics), dtype=np.bool_) if imputer.keep_empty_features else ~empty
    return statistics[kept].astype(imputer._fill_dtype).astype(np.float64), kept


def _columns(g: GraphBuilder, values: str, columns: npt.NDArray[np.intp], of: int) -> str:
    if len(columns) == of:
        return values
    return g.node("Gather", values, g.constant(columns, np.int64), axis=1)
