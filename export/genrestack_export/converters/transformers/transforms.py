"""Transformers in front of a model, or inside a member's `Pipeline`: float64 (n, f) → float64 (n, m)."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from genrestack_bundle.runtime.compose import SCALED
from genrestack_export.converters.context import TRANSFORMERS, Context, Table, as_double, names_of
from genrestack_export.converters.fallback import convert_transformer
from genrestack_export.converters.transformers.gain import gain_normalizer
from genrestack_export.converters.transformers.imputer import simple_imputer
from genrestack_export.converters.transformers.power import power_transform
from genrestack_export.converters.transformers.quantiles import quantile_transform
from genrestack_export.converters.transformers.scaler import linear_scaler
from genrestack_export.gain import GainNormalizer


def scaler(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert a linear scaler."""
    return Table(linear_scaler(c.g, transformer, rows.name, rows.width), rows.width)


def power(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `PowerTransformer`."""
    return Table(power_transform(c.g, transformer, rows.name), rows.width)


def quantile(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `QuantileTransformer`."""
    return Table(quantile_transform(c.g, transformer, rows.name), rows.width)


def imputer(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `SimpleImputer`, which may leave columns out and add indicators."""
    filled = simple_imputer(c.g, transformer, rows.name)
    return Table(filled, int(transformer.transform(np.zeros((1, rows.width))).shape[1]))


def gain(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `GainNormalizer`."""
    return Table(gain_normalizer(c.g, transformer, rows.name), rows.width)


def max_abs(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `MaxAbsScaler`."""
    value = c.g.node("Div", rows.name, c.array(np.asarray(transformer.scale_)[None]))
    if getattr(transformer, "clip", False):
        value = c.g.node("Clip", value, c.number(-1), c.number(1))
    return Table(value, rows.width)


def normalizer(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `Normalizer`: each row by its own norm."""
    g = c.g
    size = g.node("Abs", rows.name)
    if transformer.norm == "max":
        norm = g.node("ReduceMax", size, g.constant([1], np.int64), keepdims=1)
    elif transformer.norm == "l1":
        norm = g.reduce_sum(size, 1)
    else:
        norm = g.node("Sqrt", g.reduce_sum(g.node("Mul", size, size), 1))
    zero = g.node("Equal", norm, c.number(0))
    return Table(g.node("Div", rows.name, g.node("Where", zero, c.number(1), norm)), rows.width)


def components(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `PCA`, `IncrementalPCA` and `TruncatedSVD`."""
    weights = np.asarray(transformer.components_, dtype=np.float64)
    value = rows.name
    if getattr(transformer, "mean_", None) is not None:
        value = c.g.node("Sub", value, c.array(np.asarray(transformer.mean_)[None]))
    value = c.g.node("MatMul", value, c.array(weights.T))
    if getattr(transformer, "whiten", False):
        scale = np.sqrt(np.asarray(transformer.explained_variance_))
        value = c.g.node("Div", value, c.array(np.maximum(scale, np.finfo(scale.dtype).eps)[None]))
    return Table(value, len(weights))


def selection(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert whatever selects columns: `SelectKBest`, `VarianceThreshold` and the like."""
    chosen = np.flatnonzero(transformer.get_support())
    return Table(c.columns(rows.name, chosen), len(chosen))


def polynomial(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `PolynomialFeatures`: each output is a product of columns, padded with ones."""
    powers = np.asarray(transformer.powers_)
    degree = max(int(powers.sum(axis=1).max()), 1)
    factors = [np.repeat(np.arange(rows.width), row) for row in powers]
    padded = np.array([np.pad(f, (0, degree - len(f)), constant_values=rows.width) for f in factors])
    one = c.g.node("Add", c.g.node("Mul", c.columns(rows.name, [0]), c.number(0)), c.number(1))
    extended = c.g.node("Concat", rows.name, one, axis=1)
    value = c.columns(extended, padded[:, 0])
    for column in padded.T[1:]:
        value = c.g.node("Mul", value, c.columns(extended, column))
    return Table(value, len(powers))


def bins(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `KBinsDiscretizer`: count the inner edges at or below a value."""
    tables, width = [], 0
    for column, edges in enumerate(transformer.bin_edges_):
        inner = np.asarray(edges[1:-1], dtype=np.float64)
        value = c.columns(rows.name, [column])
        if len(inner):
            reached = as_double(c.g, c.g.node("GreaterOrEqual", value, c.array(inner[None])))
            code = c.g.reduce_sum(reached, 1)
        else:
            code = c.g.node("Mul", value, c.number(0))
        if transformer.encode == "ordinal":
            tables.append(code)
            width += 1
            continue
        count = int(transformer.n_bins_[column])
        tables.append(as_double(c.g, c.g.node("Equal", code, c.array(np.arange(count, dtype=np.float64)[None]))))
        width += count
    return Table(c.g.node("Concat", *tables, axis=1), width)


def binarizer(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `Binarizer`."""
    return Table(as_double(c.g, c.g.node("Greater", rows.name, c.number(float(transformer.threshold)))), rows.width)


def function(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert a `FunctionTransformer` that hands its rows on, or applies a function of NumPy that ONNX has."""
    known = {np.abs: "Abs", np.sqrt: "Sqrt", np.exp: "Exp", np.log: "Log", np.tanh: "Tanh"}
    if transformer.func is None:
        return rows
    try:
        operator = known.get(transformer.func)
    except TypeError:
        operator = None
    if operator is None or transformer.kw_args:
        name = getattr(transformer.func, "__name__", type(transformer.func).__name__)
        supported = ", ".join(f"numpy.{func.__name__}" for func in known)
        raise c.refuse(f"FunctionTransformer({name})", f"func None, {supported}")
    return Table(c.g.node(operator, rows.name), rows.width)


def pipeline(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert a `Pipeline` of transformers."""
    for _, step in transformer.steps:
        rows = c.transform(step, rows)
    return rows


def union(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `FeatureUnion`."""
    weights = transformer.transformer_weights or {}
    tables = []
    for name, step in transformer.transformer_list:
        if step == "drop":
            continue
        table = c.transform(step, rows)
        if name in weights:
            table = Table(c.g.node("Mul", table.name, c.number(float(weights[name]))), table.width)
        tables.append(table)
    return _beside(c, tables)


def by_column(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert `ColumnTransformer`; columns are known by their place, whatever they were named in the fit."""
    tables = []
    weights = transformer.transformer_weights or {}
    for name, step, _ in transformer.transformers_:
        places = list(transformer._transformer_to_input_indices[name])
        if step == "drop" or not places:
            continue
        table = c.transform(step, Table(c.columns(rows.name, places), len(places)))
        if name in weights:
            table = Table(c.g.node("Mul", table.name, c.number(float(weights[name]))), table.width)
        tables.append(table)
    return _beside(c, tables)


def _beside(c: Context, tables: list[Table]) -> Table:
    if not tables:
        raise c.refuse("a transformer that drops every column", "transformers that keep one at least")
    return Table(c.g.node("Concat", *(t.name for t in tables), axis=1), sum(t.width for t in tables))


def other(c: Context, transformer: Any, rows: Table) -> Table:
    """Convert what no table names: a selector, or whatever skl2onnx converts."""
    if isinstance(transformer, SelectorMixin):
        return selection(c, transformer, rows)
    if not hasattr(transformer, "transform"):
        raise c.refuse(type(transformer).__name__, f"transformers; ours are {names_of(TRANSFORMERS)}")
    graph, single = convert_transformer(c.where, transformer, rows.width)
    c.tools.add("skl2onnx")
    if single:
        c.float32.add(type(transformer).__name__)
    width = transformer.transform(np.ones((2, rows.width))).shape[1]
    return Table(c.embed(graph, {SCALED: rows.name}), int(width))


# A transformer is added by a line here.
TRANSFORMERS.update(
    {
        **dict.fromkeys((MinMaxScaler, StandardScaler, RobustScaler), scaler),
        **dict.fromkeys((PCA, IncrementalPCA, TruncatedSVD), components),
        PowerTransformer: power,
        QuantileTransformer: quantile,
        SimpleImputer: imputer,
        GainNormalizer: gain,
        MaxAbsScaler: max_abs,
        Normalizer: normalizer,
        PolynomialFeatures: polynomial,
        KBinsDiscretizer: bins,
        Binarizer: binarizer,
        FunctionTransformer: function,
        Pipeline: pipeline,
        FeatureUnion: union,
        ColumnTransformer: by_column,
        object: other,
    }
)
