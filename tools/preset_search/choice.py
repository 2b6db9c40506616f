"""The choice of scaler, parts and meta-learner by what they reach on inner folds; no outer fold is looked at."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tools.preset_search.candidates import FIRST, GRIDS, METAS, SCALERS, Meta, Part
from tools.preset_search.fits import Fits, Pair
from tools.preset_search.partition import FOLDS
from tools.preset_search.scores import Score, mean_score, score

FINALISTS = 3
"""How many of each part, best alone, are tried in the stack."""
ALIKE = 0.002
"""Meta-learners this close to the best accuracy count as alike; of these the one with the least log loss is taken."""


@dataclass(frozen=True)
class Trial:
    """One candidate's inner score on one training side."""

    unit: str
    fold: int
    """The outer fold that the training side leaves out."""
    stage: str
    """What was being chosen, or which part the stack was tried without."""
    candidate: str
    score: Score


@dataclass(frozen=True)
class Choice:
    """All that a stack is made of."""

    scaler: str
    knn: Part
    svc: Part
    mlp: Part
    meta: Meta

    @property
    def parts(self) -> dict[str, Part]:
        """The base parts by name, in the order of the stack."""
        return {"knn": self.knn, "svc": self.svc, "mlp": self.mlp}


class Search:
    """Tries candidates on the training sides, and takes the one with the best mean accuracy over them."""

    def __init__(self, sides: Sequence["Side"], say: Callable[[Trial], None]) -> None:
        self._sides, self._say = sides, say
        self.trials: list[Trial] = []

    def choose(self) -> Choice:
        """Choose the scaler, each part by what it reaches alone, the meta-learner, and the parts again in the stack.

        Last, the stack is tried without each part; nothing is chosen by that.
        """
        scaler = self._ranked("scaler", tuple(SCALERS), Side.behind)[0]
        ranked = {
            name: self._ranked(name, grid, lambda side, part: side.alone(scaler, part)) for name, grid in GRIDS.items()
        }
        choice = Choice(scaler, **{name: parts[0] for name, parts in ranked.items()}, meta=METAS[0])
        choice = self._with_best_meta(choice)
        for name, parts in ranked.items():
            swapped = [replace(choice, **{name: part}) for part in parts[:FINALISTS]]
            choice = self._ranked(f"{name} in the stack", swapped, Side.stacked)[0]
        choice = self._with_best_meta(choice)
        for name in choice.parts:
            self._try(f"without {name}", choice, partial(Side.stacked, without=name))
        return choice

    def _with_best_meta(self, choice: Choice) -> Choice:
        tried = {meta: self._try("meta", replace(choice, meta=meta), Side.stacked) for meta in METAS}
        best = max(result.accuracy for result in tried.values())
        alike = [meta for meta, result in tried.items() if result.accuracy >= best - ALIKE]
        return replace(choice, meta=min(alike, key=lambda meta: tried[meta].log_loss))

    def _ranked(self, stage: str, candidates: Sequence[Any], measure: Callable[["Side", Any], Score]) -> list[Any]:
        """Try candidates and give them from the most to the least accurate."""
        reached = [self._try(stage, candidate, measure).accuracy for candidate in candidates]
        return [candidates[place] for place in np.argsort(-np.array(reached), kind="stable")]

    def _try(self, stage: str, candidate: Any, measure: Callable[["Side", Any], Score]) -> Score:
        tried = [Trial(side.unit, side.fold, stage, str(candidate), measure(side, candidate)) for side in self._sides]
        for trial in tried:
            self._say(trial)
        self.trials += tried
        return mean_score([trial.score for trial in tried])


class Side:
    """The training side of one outer fold, and what candidates reach on it."""

    def __init__(self, fits: Fits, fold: int) -> None:
        self._fits, self.unit, self.fold = fits, fits.partition.unit, fold

    def behind(self, scaler: str) -> Score:
        """Return the mean score of the three first parts behind a scaler."""
        return mean_score([self.alone(scaler, part) for part in FIRST.values()])

    def alone(self, scaler: str, part: Part) -> Score:
        """Return a part's own score."""
        return self._mean(lambda pair: self._fits.of_pair(scaler, part, pair))

    def stacked(self, choice: Choice, without: str = "") -> Score:
        """Return the score of a meta-learner fitted on out-of-fold rows and asked about the fold left out."""
        parts = [part for name, part in choice.parts.items() if name != without]
        return self._mean(lambda pair: self._meta_answers(choice.scaler, parts, choice.meta, pair))

    def _meta_answers(self, scaler: str, parts: Sequence[Part], meta: Meta, pair: Pair) -> Any:
        fits, codes = self._fits, self._fits.partition.codes
        seen = [fits.out_of_fold(scaler, part, pair) for part in parts]
        new = [fits.of_pair(scaler, part, pair) for part in parts]
        around = [fits.scaled(scaler, pair)] if meta.passthrough else []
        rows = fits.outside(pair)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = LogisticRegression(C=meta.C, max_iter=200).fit(np.hstack(seen + around)[rows], codes[rows])
        return fitted.predict_proba(np.hstack(new + around))

    def _mean(self, answers: Callable[[Pair], Any]) -> Score:
        """Return the mean over the side's four folds of what fits without them answer."""
        partition, reached = self._fits.partition, []
        for other in range(FOLDS):
            if other != self.fold:
                here = partition.held_back(other)
                given = answers((self.fold, other))[here]
                reached.append(score(given, partition.codes[here], partition.tracks[here]))
        return mean_score(reached)
