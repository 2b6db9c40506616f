"""Metrics of a classifier as functions of sums over rows, so that thousands of resamples cost one matrix product.

Every metric here is computed from sums over rows of a few numbers each: the confusion matrix, the losses, the
reliability bins. A resample of groups is a vector of weights, its sums are the weighted sums of the groups' own, and
the metrics follow from these. Below, p is a row's vector of probabilities, y its true class, n the number of rows.

- accuracy: share of rows that are predicted right.
- balanced_accuracy: mean of the recalls of the classes that occur (scikit-learn's `balanced_accuracy_score`).
- macro_f1: mean of the F1 of the classes that occur or are predicted (scikit-learn's `f1_score(average="macro")`).
- log_loss: mean of −ln p[y], p normalised and clipped to the least step of a float64 (scikit-learn's `log_loss`).
- brier: mean of Σ_j (p[j] − [j = y])², 0 to 2. Brier, "Verification of forecasts expressed in terms of probability",
  Monthly Weather Review 78 (1950).
- ece: Σ_b n_b/n · |accuracy_b − confidence_b| over 15 bins of equal width of the largest probability. Naeini, Cooper
  and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; with 15 bins as in Guo
  et al., "On calibration of modern neural networks", ICML 2017.
- top2: share of rows whose true class is one of the two most probable.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

METRIC_NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "ece", "top2")
BINS = 15
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over rows; the leading axes are whatever they are of: groups, resamples, or nothing for all rows."""

    confusion: np.ndarray
    """float64, shape (…, k, k): rows of true class i predicted as class j."""
    losses: np.ndarray
    """float64, shape (…, 3): log loss, Brier, true class among the two most probable."""
    bins: np.ndarray
    """float64, shape (…, 15, 3): rows, largest probability, right."""

    @property
    def rows(self) -> np.ndarray:
        """float64, shape (…)."""
        return np.asarray(self.confusion.sum(axis=(-2, -1)))

    def flatten(self) -> np.ndarray:
        """Concatenate all sums along one last axis."""
        lead = self.losses.shape[:-1]
        return np.concatenate([self.confusion.reshape(*lead, -1), self.losses, self.bins.reshape(*lead, -1)], axis=-1)


def unflatten(values: np.ndarray, classes: int) -> Sums:
    """Reverse `Sums.flatten`."""
    lead, cells = values.shape[:-1], classes * classes
    return Sums(
        values[..., :cells].reshape(*lead, classes, classes),
        values[..., cells : cells + 3],
        values[..., cells + 3 :].reshape(*lead, BINS, 3),
    )


def sums_by_group(
    truth: np.ndarray, probabilities: np.ndarray, decisions: np.ndarray, groups: np.ndarray, count: int
) -> Sums:
    """Sum over the rows of each group.

    Args:
        truth: true classes, int64, shape (n,).
        probabilities: float, shape (n, k).
        decisions: predicted classes, int64, shape (n,).
        groups: number of each row's group, 0 … count − 1, shape (n,).
        count: number of groups.

    """
    rows, classes = probabilities.shape
    p = np.asarray(probabilities, dtype=np.float64)
    p = p / p.sum(axis=1, keepdims=True)
    every = np.arange(rows)
    true_p, top = p[every, truth], p.max(axis=1)
    log_loss = -np.log(np.clip(true_p, _EPSILON, 1 - _EPSILON))
    brier = (p**2).sum(axis=1) - 2 * true_p + 1
    losses = np.zeros((count, 3))
    np.add.at(losses, groups, np.column_stack([log_loss, brier, _top2(p, truth)]))
    confusion = np.zeros((count, classes, classes))
    np.add.at(confusion, (groups, truth, decisions), 1.0)
    bins = np.zeros((count, BINS, 3))
    # Bin b holds b/15 < p ≤ (b + 1)/15, as in the sources.
    which = np.clip(np.ceil(top * BINS).astype(int) - 1, 0, BINS - 1)
    np.add.at(bins, (groups, which), np.column_stack([np.ones(rows), top, np.argmax(p, axis=1) == truth]))
    return Sums(confusion, losses, bins)


def _top2(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return whether the true class is one of the two largest; of equal ones the first come first."""
    best = np.argsort(-p, axis=1, kind="stable")[:, :2]
    return np.asarray((best == truth[:, None]).any(axis=1))


def compute_metrics(sums: Sums) -> Mapping[str, np.ndarray]:
    """Compute the metrics named in `METRIC_NAMES`, each of the sums' leading shape."""
    rows, recall = sums.rows, class_metrics(sums)["recall"]
    support, answered = sums.confusion.sum(axis=-1), sums.confusion.sum(axis=-2)
    gaps = np.abs(sums.bins[..., 2] - sums.bins[..., 1]).sum(axis=-1)
    return {
        "accuracy": np.trace(sums.confusion, axis1=-2, axis2=-1) / rows,
        "balanced_accuracy": _mean_where(recall, support > 0),
        "macro_f1": _mean_where(class_metrics(sums)["f1"], support + answered > 0),
        "log_loss": sums.losses[..., 0] / rows,
        "brier": sums.losses[..., 1] / rows,
        "ece": gaps / rows,
        "top2": sums.losses[..., 2] / rows,
    }


def class_metrics(sums: Sums) -> Mapping[str, np.ndarray]:
    """Compute "precision", "recall" and "f1" of each class, shape (…, k); 0 where there is nothing to divide by."""
    right = np.diagonal(sums.confusion, axis1=-2, axis2=-1)
    support, answered = sums.confusion.sum(axis=-1), sums.confusion.sum(axis=-2)
    return {
        "precision": right / np.maximum(answered, 1.0),
        "recall": right / np.maximum(support, 1.0),
        "f1": 2 * right / np.maximum(support + answered, 1.0),
    }


def _mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return np.asarray((values * counted).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1))
