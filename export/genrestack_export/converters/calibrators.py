"""Calibration: from a classifier's scores to probabilities, by sigmoids, steps between thresholds, or a temperature."""

from typing import Any

import numpy as np

from genrestack_export.converters.context import Context, as_double

_BINARY = 2
# scikit-learn adds this to probabilities before their logarithm.
_LOG_EPS = 1e-12


def calibrate(c: Context, fold: Any, scores: str, codes: Any, classes: int, *, probabilities: bool) -> str:
    """Add one fold's calibrators: scores, float64 (n, m) → probabilities, float64 (n, classes).

    Args:
        c: the part under construction.
        fold: of the fitted `CalibratedClassifierCV`.
        scores: what the calibrated classifier answers.
        codes: column of the whole's class for each class that this classifier knows.
        classes: number of classes of the whole.
        probabilities: whether the scores are probabilities, and no decisions.

    """
    if fold.method == "temperature":
        return _temperature(c, float(fold.calibrators[0].beta_), scores, classes, probabilities=probabilities)
    if fold.method not in {"sigmoid", "isotonic"}:
        found = f"CalibratedClassifierCV(method={fold.method!r})"
        raise c.refuse(found, "methods 'sigmoid', 'isotonic' and 'temperature'")
    one = _sigmoid if fold.method == "sigmoid" else _isotonic
    if classes == _BINARY:
        second = c.columns(scores, [1]) if probabilities else scores
        return c.beside(one(c, fold.calibrators[0], second))
    columns = [c.g.node("Mul", c.columns(scores, [0]), c.number(0))] * classes
    for place, (code, calibrator) in enumerate(zip(codes, fold.calibrators, strict=False)):
        columns[code] = one(c, calibrator, c.columns(scores, [place]))
    return c.shares(c.g.node("Concat", *columns, axis=1), 1 / classes)


def _sigmoid(c: Context, calibrator: Any, column: str) -> str:
    moved = c.g.node("Mul", column, c.number(float(calibrator.a_)))
    return c.expit(c.g.node("Neg", c.g.node("Add", moved, c.number(float(calibrator.b_)))))


def _isotonic(c: Context, calibrator: Any, column: str) -> str:
    """Interpolate between thresholds; beyond the first and the last stays what is there."""
    g = c.g
    x = np.asarray(calibrator.X_thresholds_, dtype=np.float64)
    y = np.asarray(calibrator.y_thresholds_, dtype=np.float64)
    if len(x) == 1:
        return g.node("Add", g.node("Mul", column, c.number(0)), c.number(float(y[0])))
    value = g.node("Clip", column, c.number(float(x[0])), c.number(float(x[-1])))
    # The first threshold at or above the value ends its step.
    below = g.reduce_sum(as_double(g, g.node("Greater", value, c.array(x[None]))), 1)
    end = g.node("Clip", g.cast(below, 7), g.scalar(1, np.int64), g.scalar(len(x) - 1, np.int64))
    start = g.node("Sub", end, g.scalar(1, np.int64))
    slopes = np.diff(y) / np.diff(x)
    slope, left, base = (g.node("Gather", c.array(table), start) for table in (slopes, x, y))
    return g.node("Add", g.node("Mul", slope, g.node("Sub", value, left)), base)


def _temperature(c: Context, beta: float, scores: str, classes: int, *, probabilities: bool) -> str:
    g = c.g
    if probabilities:
        logits = g.node("Log", g.node("Add", scores, c.number(_LOG_EPS)))
    elif classes == _BINARY:
        logits = g.node("Concat", g.node("Neg", scores), scores, axis=1)
    else:
        logits = scores
    return g.node("Softmax", g.node("Mul", logits, c.number(beta)), axis=1)
