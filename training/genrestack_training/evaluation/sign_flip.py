"""Is the difference between two runs more than chance? A sign-flip test over groups.

If two models are equally good, then in each group (a recording, an artist) their difference might as well have been the
other way round. Flipping the signs of the groups' differences at random therefore shows how large a total difference
chance makes; rows of one group stay together, as they are not independent evidence. With few groups all sign patterns
are counted, otherwise 10,000 are drawn, and the observed one counts as one of them. Good, "Permutation, parametric, and
bootstrap tests of hypotheses" (2005), chapter 3; Phipson and Smyth, "Permutation p-values should never be zero",
Statistical Applications in Genetics and Molecular Biology 9 (2010).
"""

from dataclasses import dataclass

import numpy as np

FLIPS = 10_000
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class SignFlipTest:
    """The result of the test."""

    p: float
    """Two-sided: how often chance alone makes a difference at least as large."""
    groups: int
    differing: int
    """Groups in which the two are not equally often right; only these say anything."""
    exact: bool
    """True if every sign pattern was counted."""


def sign_flip_test(differences: np.ndarray, *, seed: int = 0, flips: int = FLIPS) -> SignFlipTest:
    """Test whether differences by group are around zero.

    Args:
        differences: int64, shape (g,): in each group, how many more rows the second is right on than the first.
        seed: of the draws.
        flips: how many to draw, where there are more ways than that.

    """
    moved = differences[differences != 0]
    observed = abs(int(moved.sum()))
    if len(moved) < 63 and 2 ** len(moved) <= flips:
        numbers = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))
        reached = _reached(2 * (numbers & 1) - 1, moved, observed)
        return SignFlipTest(reached / 2 ** len(moved), len(differences), len(moved), exact=True)
    random, reached, step = np.random.default_rng(seed), 0, max(1, _AT_ONCE // len(moved))
    for start in range(0, flips, step):
        drawn = random.integers(0, 2, size=(min(step, flips - start), len(moved)))
        reached += _reached(2 * drawn - 1, moved, observed)
    return SignFlipTest((1 + reached) / (1 + flips), len(differences), len(moved), exact=False)


def _reached(signs: np.ndarray, moved: np.ndarray, observed: int) -> int:
    """Count the sign patterns whose total is at least as large as the observed one."""
    return int(np.count_nonzero(np.abs(signs @ moved) >= observed))
