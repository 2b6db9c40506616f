"""Synthetic rows that nobody fitted, for runs that hold out none."""

import numpy as np

SPREAD = 0.05
"""How far a made value lies from its training row's, as a standard deviation in units of the feature's range."""


def synthetic_rows(rows: np.ndarray, *, seed: int, most: int = 256) -> np.ndarray:
    """Generate rows near training rows, within each feature's seen range, that equal none of them.

    Args:
        rows: training rows, float64, shape (m, f).
        seed: makes the draw repeatable.
        most: how many rows to make at most; no more than there are training rows.

    Returns:
        float64, shape (min(m, most), f). A feature that never varied keeps its value.

    """
    random = np.random.default_rng(seed)
    # A value that is missing stays missing.
    low, high = np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)
    drawn = rows[random.choice(len(rows), size=min(len(rows), most), replace=False)]
    jittered = drawn + random.normal(scale=SPREAD, size=drawn.shape) * (high - low)
    made: np.ndarray = np.clip(jittered, low, high)
    return made
