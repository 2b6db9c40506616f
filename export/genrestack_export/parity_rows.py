"""Rows of a parity check: reference rows as they travel, synthetic rows beyond what was seen, copied training rows."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_export.converters.knn import Neighbors, read_knn
from genrestack_export.errors import ExportError
from genrestack_export.inside import neighbors_within
from genrestack_export.source_stack import with_names

Wire = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float64]

_SYNTHETIC_ROWS = 24
_COPIED_ROWS = 24
# A feature whose rounding to float32 moves it by more than this part of its spread is worth a warning.
_COARSE = 1e-4
_RELATIVE = 1e-12
# scikit-learn's own distances are this exact; whatever is closer is looked at again.
_SUSPECT = 1e-6


class Float32Warning(UserWarning):
    """A feature loses much of its spread when it is sent as float32."""


def check_rows(what: str, rows: npt.ArrayLike, names: list[str]) -> Rows:
    """Check raw rows of shape (n, f).

    Raises:
        ExportError: they are not a table of numbers with these columns, or a value is not finite; names the place.

    """
    try:
        table = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExportError(f"{what} are not numbers; pass an array of shape (n, {len(names)})") from error
    if table.ndim != 2 or table.shape[1] != len(names) or not len(table):
        raise ExportError(f"{what} have the shape {table.shape}, but (n, {len(names)}) with n ≥ 1 is needed")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        raise ExportError(
            f"{what}: row {row}, feature {names[column]!r} is {table[row, column]}; remove or fill such rows"
        )
    return table


def to_wire(what: str, rows: Rows, names: list[str]) -> Wire:
    """Round rows to float32, as they travel.

    Raises:
        ExportError: a value does not fit into float32.

    """
    with np.errstate(over="ignore"):
        wire = rows.astype(np.float32)
    bad = np.argwhere(~np.isfinite(wire))
    if len(bad):
        row, column = bad[0]
        raise ExportError(
            f"{what}: row {row}, feature {names[column]!r} is {rows[row, column]:g}, beyond float32, in which rows "
            "travel; rescale this feature in the table and train again"
        )
    return wire


def warn_of_rounding(rows: Rows, wire: Wire, names: list[str]) -> None:
    """Warn by name of features that float32 rounds coarsely: timestamps, identifiers, large offsets."""
    spread = rows.max(axis=0) - rows.min(axis=0)
    moved = np.abs(rows - wire).max(axis=0)
    coarse = [name for name, m, s in zip(names, moved, spread, strict=True) if m > _COARSE * s and m > 0 and s > 0]
    if coarse:
        warnings.warn(
            f"rows travel as float32, which rounds {', '.join(map(repr, coarse))} by more than {_COARSE:.0e} of the "
            "spread: the served model answers the rounded rows. Subtract an offset from such features and train again",
            Float32Warning,
            stacklevel=4,
        )


def synthetic_rows(seen: Rows, seed: int = 0) -> Wire:
    """Generate rows that lie in part or wholly outside the ranges of `seen`, float32 (m, f)."""
    rng = np.random.default_rng(seed)
    limit = float(np.finfo(np.float32).max)
    low, high = np.clip(seen.min(axis=0), -limit, limit), np.clip(seen.max(axis=0), -limit, limit)
    reach = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    inside = rng.uniform(low, high, (_SYNTHETIC_ROWS, seen.shape[1]))
    outward = rng.choice([-1.0, 1.0], inside.shape) * reach * rng.uniform(0.1, 2.0, inside.shape)
    # From a few columns outside to all of them.
    outside = rng.random(inside.shape) < np.linspace(0.05, 1.0, _SYNTHETIC_ROWS)[:, None]
    with np.errstate(over="ignore"):
        made = np.where(outside, inside + outward, inside).astype(np.float32)
    return np.clip(made, -limit, limit)


def parity_tables(rows: Rows, seen: Rows | None, names: list[str]) -> dict[str, Wire]:
    """Build the rows of a parity check, float32, by kind.

    Args:
        rows: raw reference rows, shape (n, f).
        seen: raw training rows, shape (m, f), if they are known.
        names: of the f columns.

    Raises:
        ExportError: a value does not fit into float32.

    """
    tables = {"reference row": to_wire("reference_rows", rows, names)}
    tables["synthetic row"] = synthetic_rows(rows if seen is None else seen)
    if seen is not None:
        tables["copied training row"] = copied_rows(seen)
    return tables


def copied_rows(training: Rows, seed: int = 0) -> Wire:
    """Pick training rows that are the same in float32, where a distance of zero really is one, float32 (m, f)."""
    with np.errstate(over="ignore"):
        exact = np.flatnonzero((training.astype(np.float32) == training).all(axis=1))
        pool = exact if len(exact) else np.arange(len(training))
        chosen = np.random.default_rng(seed).permutation(pool)[:_COPIED_ROWS]
        wire = training[chosen].astype(np.float32)
    finite: Wire = wire[np.isfinite(wire).all(axis=1)]
    return finite


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
