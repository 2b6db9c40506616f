"""Rows of a parity check: reference rows as they travel, synthetic rows beyond what was seen, copied training rows."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_export.converters.nearest.knn import Neighbors, read_knn
from genrestack_export.errors import ExportError
from genrestack_export.inside import neighbors_within
from genrestack_export.source_stack import with_names

Wire = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SYNTHETIC_ROWS = 24
_COPIED_ROWS = 24
_GAP_ROWS = 24
# A feature whose rounding to float32 moves it by more than this part of its spread is worth a warning.
_COARSE = 1e-4
_RELATIVE = 1e-12
# scikit-learn's own distances are this exact; whatever is closer is looked at again.
_SUSPECT = 1e-6


class Float32Warning(UserWarning):
    """A feature loses much of its spread when it is sent as float32."""


def check_rows(what: str, rows: npt.ArrayLike, names: list[str], accepts: Mask | None = None) -> Rows:
    """Check raw rows of shape (n, f); NaN is a missing value in the columns that accept one, bool (f,).

    Raises:
        ExportError: they are not a table of numbers with these columns, or a value is not finite; names the place.

    """
    table = as_table(what, rows, names)
    finite = np.isfinite(table)
    bad = np.argwhere(~finite if accepts is None else ~(finite | (np.isnan(table) & accepts)))
    if len(bad):
        row, column = bad[0]
        raise ExportError(
            f"{what}: row {row}, feature {names[column]!r} is {table[row, column]}; remove or fill such rows"
        )
    return table


def as_table(what: str, rows: npt.ArrayLike, names: list[str]) -> Rows:
    """Convert rows to float64 of shape (n, f).

    Raises:
        ExportError: they are not a table of numbers with these columns.

    """
    try:
        table = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExportError(f"{what} are not numbers; pass an array of shape (n, {len(names)})") from error
    if table.ndim != 2 or table.shape[1] != len(names) or not len(table):
        raise ExportError(f"{what} have the shape {table.shape}, but (n, {len(names)}) with n ≥ 1 is needed")
    return table


def to_wire(what: str, rows: Rows, names: list[str]) -> Wire:
    """Round rows to float32, as they travel.

    Raises:
        ExportError: a value does not fit into float32.

    """
    with np.errstate(over="ignore"):
        wire = rows.astype(np.float32)
    bad = np.argwhere(np.isinf(wire))
    if len(bad):
        row, column = bad[0]
        raise ExportError(
            f"{what}: row {row}, feature {names[column]!r} is {rows[row, column]:g}, beyond float32, in which rows "
            "travel; rescale this feature in the table and train again"
        )
    return wire


def warn_of_rounding(rows: Rows, wire: Wire, names: list[str]) -> None:
    """Warn by name of features that float32 rounds coarsely: timestamps, identifiers, large offsets."""
    low, high = seen_range(rows)
    spread = high - low
    moved = np.fmax.reduce(np.abs(rows - wire), axis=0)
    coarse = [name for name, m, s in zip(names, moved, spread, strict=True) if m > _COARSE * s and m > 0 and s > 0]
    if coarse:
        warnings.warn(
            f"rows travel as float32, which rounds {', '.join(map(repr, coarse))} by more than {_COARSE:.0e} of the "
            "spread: the served model answers the rounded rows. Subtract an offset from such features and train again",
            Float32Warning,
            stacklevel=5,
        )


def seen_range(rows: Rows) -> tuple[Rows, Rows]:
    """Return the smallest and the largest value of each column, without NaN; NaN where a column has no value."""
    return np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)


def synthetic_rows(seen: Rows, seed: int = 0) -> Wire:
    """Generate rows that lie in part or wholly outside the ranges of `seen`, float32 (m, f)."""
    rng = np.random.default_rng(seed)
    limit = float(np.finfo(np.float32).max)
    low, high = (np.clip(np.nan_to_num(end), -limit, limit) for end in seen_range(seen))
    reach = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    inside = rng.uniform(low, high, (_SYNTHETIC_ROWS, seen.shape[1]))
    outward = rng.choice([-1.0, 1.0], inside.shape) * reach * rng.uniform(0.1, 2.0, inside.shape)
    # From a few columns outside to all of them.
    outside = rng.random(inside.shape) < np.linspace(0.05, 1.0, _SYNTHETIC_ROWS)[:, None]
    with np.errstate(over="ignore"):
        made = np.where(outside, inside + outward, inside).astype(np.float32)
    return np.clip(made, -limit, limit)


def parity_tables(rows: Rows, seen: Rows | None, names: list[str], accepts: Mask | None = None) -> dict[str, Wire]:
    """Build the rows of a parity check, float32, by kind.

    Args:
        rows: raw reference rows, shape (n, f).
        seen: raw training rows, shape (m, f), if they are known.
        names: of the f columns.
        accepts: which of them accept missing values, bool (f,); None: none.

    Raises:
        ExportError: a value does not fit into float32.

    """
    tables = {"reference row": to_wire("reference_rows", rows, names)}
    tables["synthetic row"] = synthetic_rows(rows if seen is None else seen)
    if seen is not None:
        tables["copied training row"] = copied_rows(seen)
    if accepts is not None and accepts.any():
        tables["row with missing values"] = rows_with_gaps(tables["reference row"], accepts)
    return tables


def rows_with_gaps(rows: Wire, accepts: Mask, seed: int = 0) -> Wire:
    """Copy rows and take values out of the columns that accept it: from one of them to all, float32 (m, f)."""
    rng = np.random.default_rng(seed)
    columns = np.flatnonzero(accepts)
    made = rows[rng.integers(len(rows), size=_GAP_ROWS)]
    gaps = rng.random((_GAP_ROWS, len(columns))) < np.linspace(0, 1, _GAP_ROWS)[:, None]
    gaps[np.arange(_GAP_ROWS), np.arange(_GAP_ROWS) % len(columns)] = True
    gaps[-1] = True
    made[:, columns] = np.where(gaps, np.float32(np.nan), made[:, columns])
    return made


def copied_rows(training: Rows, seed: int = 0) -> Wire:
    """Pick training rows that are the same in float32, where a distance of zero really is one, float32 (m, f)."""
    with np.errstate(over="ignore"):
        exact = np.flatnonzero(((training.astype(np.float32) == training) | np.isnan(training)).all(axis=1))
        pool = exact if len(exact) else np.arange(len(training))
        chosen = np.random.default_rng(seed).permutation(pool)[:_COPIED_ROWS]
        wire = training[chosen].astype(np.float32)
    fitting: Wire = wire[~np.isinf(wire).any(axis=1)]
    return fitting


def tied_rows(base: dict[str, Any], scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return for each scaled row, shape (n, f), whether a KNN of the stack ties on it.

    A row ties when the distances of the k-th and the (k + 1)-th neighbour are equal within 1e-12 relative and the
    classes of the points at that distance differ: scikit-learn's choice then depends on its algorithm and threads.
    """
    tied = np.zeros(len(scaled), dtype=np.bool_)
    for name, estimator in base.items():
        for found, rows in neighbors_within(estimator, scaled):
            tied |= _tied(read_knn(name, found), found, rows)
    return tied


def tied_within(stack: Any, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return for each scaled row whether a KNN of the final estimator ties on it."""
    final = stack.final_estimator_
    if not any(True for _ in neighbors_within(final, None)):
        return np.zeros(len(scaled), dtype=np.bool_)
    padded = np.repeat(scaled, 2, axis=0) if len(scaled) == 1 else scaled
    return tied_rows({"the meta-learner": final}, np.asarray(stack.transform(with_names(stack, padded)))[: len(scaled)])


def _tied(neighbors: Neighbors, estimator: Any, scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    tied = np.zeros(len(scaled), dtype=np.bool_)
    k = neighbors.k
    if k >= len(neighbors.points):
        return tied
    distances, _ = estimator.kneighbors(scaled, k + 1)
    scale = 1.0 if neighbors.metric == "cosine" else distances[:, k]
    suspects = np.flatnonzero(distances[:, k] - distances[:, k - 1] <= _SUSPECT * scale)
    for row in suspects:
        exact = _distances(neighbors, scaled[row])
        last, next_ = np.partition(exact, (k - 1, k))[k - 1 : k + 1]
        # A cosine near one is known to within float64's rounding of one.
        close = _RELATIVE * (1.0 if neighbors.metric == "cosine" else next_)
        if next_ - last <= close:
            group = np.abs(exact - last) <= close
            tied[row] = len(set(neighbors.labels[group])) > 1
    return tied


def _distances(neighbors: Neighbors, row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if neighbors.metric == "cosine":
        norms = np.linalg.norm(neighbors.points, axis=1) * np.linalg.norm(row)
        return 1 - np.asarray(neighbors.points @ row) / np.where(norms == 0, 1, norms)
    difference = np.abs(neighbors.points - row)
    if np.isinf(neighbors.p):
        return np.asarray(difference.max(axis=1))
    if neighbors.metric == "sqeuclidean":
        return np.asarray((difference**2).sum(axis=1))
    if neighbors.p == 1:
        return np.asarray(difference.sum(axis=1))
    return np.asarray((difference**neighbors.p).sum(axis=1) ** (1 / neighbors.p))
