"""How far a collection as a whole lies from the rows that a model was trained on, feature by feature.

A shift is the collection's mean less the training rows' mean, in standard deviations of the training rows. Its 95 %
interval takes rows of one group (a recording, an artist) as one observation: the variance of a ratio estimator over
clusters, with Student's t for as many groups as there are less one (Cochran, "Sampling techniques" (1977), section
9A.7). Training rows are taken as known.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from genrestack_training.evaluation.results import Figure

LEVEL = 0.95
NOTABLE = 0.25
"""Standard deviations from which on a shift is worth a word, if its interval leaves zero out."""
_SLACK = 0.01
"""How far outside, in widths of the range, still counts as inside, as in the client's warning on songs."""


@dataclass(frozen=True)
class FeatureShift:
    """One feature of the collection, beside the training rows'."""

    name: str
    shift: Figure | None
    """In standard deviations; None if the model does not know its training rows' mean and deviation."""
    below: float | None
    """Share of rows below the range of the training rows; None if that is not known."""
    above: float | None

    @property
    def notable(self) -> bool:
        """Whether it is large, and more than the choice of recordings makes."""
        f = self.shift
        if f is None or f.lower is None or f.upper is None:
            return False
        return abs(f.value) >= NOTABLE and not f.lower <= 0 <= f.upper


@dataclass(frozen=True)
class CollectionShift:
    """A collection beside the training rows of a model."""

    features: tuple[FeatureShift, ...]
    """In the model's order."""
    outside: float | None
    """Share of rows with some feature outside its range; None if no range is known."""
    distance: float | None
    """Root mean square of the shifts; None if none is known."""
    groups: int

    def notable(self) -> tuple[FeatureShift, ...]:
        """Return the features whose shift is worth a word, furthest first."""
        found = [f for f in self.features if f.notable]
        return tuple(sorted(found, key=lambda f: -abs(f.shift.value if f.shift else 0.0)))


@dataclass(frozen=True, eq=False)
class TrainingRange:
    """What is known of the training rows: float64, shape (f,) each, NaN where it is not."""

    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def measure_shift(rows: np.ndarray, groups: np.ndarray, known: TrainingRange) -> CollectionShift:
    """Compare a collection with the training rows.

    Args:
        rows: float64, shape (n, f); NaN where a value is missing.
        groups: int64, shape (n,): what each row belongs to.
        known: of the training rows.

    """
    names, numbers = np.unique(groups, return_inverse=True)
    slack = _SLACK * (known.high - known.low)
    # What is missing, or has no range, is not outside of it.
    below, above = rows < known.low - slack, rows > known.high + slack
    ranged = np.isfinite(known.low)
    features = tuple(
        FeatureShift(
            name,
            _shift(rows[:, column], numbers, len(names), float(known.mean[column]), float(known.deviation[column])),
            float(below[:, column].mean()) if ranged[column] else None,
            float(above[:, column].mean()) if ranged[column] else None,
        )
        for column, name in enumerate(known.names)
    )
    shifts = [f.shift.value for f in features if f.shift is not None]
    return CollectionShift(
        features,
        float((below | above).any(axis=1).mean()) if ranged.any() else None,
        float(np.sqrt(np.mean(np.square(shifts)))) if shifts else None,
        len(names),
    )


def _shift(values: np.ndarray, groups: np.ndarray, count: int, mean: float, deviation: float) -> Figure | None:
    there = ~np.isnan(values)
    if not there.any() or not np.isfinite(mean) or not deviation > 0:
        return None
    z = (values[there] - mean) / deviation
    value = float(z.mean())
    if count < 2:
        return Figure(value, None, None)
    sums = np.bincount(groups[there], z - value, minlength=count)
    error = float(np.sqrt(count / (count - 1) * np.sum(sums**2))) / len(z)
    reach = float(student.ppf((1 + LEVEL) / 2, count - 1)) * error
    return Figure(value, value - reach, value + reach)
