"""Intervals by resampling whole groups: rows of one recording, or recordings of one artist, come and go together.

The percentile bootstrap over clusters: as many groups as there are, drawn with replacement, 2,000 times; the interval
lies between the 2.5th and the 97.5th percentile of the figure. Efron and Tibshirani, "An introduction to the bootstrap"
(1993), chapter 13; Davison and Hinkley, "Bootstrap methods and their application" (1997), section 3.8, on clusters. The
fitted models are taken as given: an interval says how much the figure depends on which groups were held out, not on
which were fitted.
"""

from collections.abc import Iterator

import numpy as np

from genrestack_training.evaluation.metrics import Sums, unflatten
from genrestack_training.evaluation.results import Figure

RESAMPLES = 2000
LEVEL = 0.95
_CELLS = 4_000_000


class Resamples:
    """The same resamples of the same groups for every model, so that differences between models are paired."""

    def __init__(self, groups: int, *, seed: int, resamples: int = RESAMPLES) -> None:
        self.groups = groups
        self._seed = seed
        self._resamples = resamples
        self._cached: np.ndarray | None = None

    def sums(self, by_group: Sums) -> Sums | None:
        """Compute the sums of every resample, with a leading axis of resamples; None for fewer than two groups."""
        if self.groups < 2:
            return None
        flatten = by_group.flatten()
        classes = by_group.confusion.shape[-1]
        return unflatten(np.concatenate([weights @ flatten for weights in self._weights()]), classes)

    def _weights(self) -> Iterator[np.ndarray]:
        """Yield how often each group is drawn, float64, shape (resamples, groups), a manageable piece at a time."""
        if self._cached is not None:
            yield self._cached
            return
        random = np.random.default_rng(self._seed)
        shares = np.full(self.groups, 1 / self.groups)
        step = max(1, _CELLS // self.groups)
        for start in range(0, self._resamples, step):
            size = min(step, self._resamples - start)
            weights = random.multinomial(self.groups, shares, size=size).astype(np.float64)
            if size == self._resamples:
                self._cached = weights
            yield weights


def percentile_interval(value: float, resampled: np.ndarray | None) -> Figure:
    """Return a figure with the percentile interval of its resampled values; without resamples, without interval."""
    if resampled is None:
        return Figure(float(value), None, None)
    tail = 100 * (1 - LEVEL) / 2
    lower, upper = np.percentile(resampled, [tail, 100 - tail])
    return Figure(float(value), float(lower), float(upper))
