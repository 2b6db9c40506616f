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
    notable: bool
    """Whether it is large, and more than the choice of recordings makes: an interval that holds for all features at
    once (Bonferroni) leaves zero out."""


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
    features = []
    for column, name in enumerate(known.names):
        z = (rows[:, column] - known.mean[column]) / known.deviation[column] if known.deviation[column] > 0 else None
        features.append(
            FeatureShift(
                name,
                None if z is None else _shift(z, numbers, len(names), 1 - LEVEL),
                float(below[:, column].mean()) if ranged[column] else None,
                float(above[:, column].mean()) if ranged[column] else None,
                z is not None and _is_notable(_shift(z, numbers, len(names), (1 - LEVEL) / len(known.names))),
            )
        )
    shifts = [f.shift.value for f in features if f.shift is not None]
    return CollectionShift(
        tuple(features),
        float((below | above).any(axis=1).mean()) if ranged.any() else None,
        float(np.sqrt(np.mean(np.square(shifts)))) if shifts else None,
        len(names),
    )


def _shift(z: np.ndarray, groups: np.ndarray, count: int, outside: float) -> Figure | None:
    """Return the mean of standardised values with the interval that leaves out a share of `outside`."""
    there = ~np.isnan(z)
    if not there.any():
        return None
    value = float(z[there].mean())
    if count < 2:
        return Figure(value, None, None)
    sums = np.bincount(groups[there], z[there] - value, minlength=count)
    error = float(np.sqrt(count / (count - 1) * np.sum(sums**2))) / int(there.sum())
    reach = float(student.ppf(1 - outside / 2, count - 1)) * error
    return Figure(value, value - reach, value + reach)


def _is_notable(shift: Figure | None) -> bool:
    if shift is None or shift.lower is None or shift.upper is None:
        return False
    return abs(shift.value) >= NOTABLE and not shift.lower <= 0 <= shift.upper
