"""Probabilities of rows that a part was not fitted on, never from a fit that saw the outer fold in question.

A part fitted without the outer folds i and j answers the rows of j for the training side of i, and those of i for the
training side of j: one fit serves two sides. The same rows are cut once more, by recording, for what a meta-learner of
that fit is fitted on.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from genrestack_training import build_scaler, resolve_settings
from tools.preset_search.candidates import SCALERS, Knn, Mlp, Part, Svc, checkpoints
from tools.preset_search.network import Network
from tools.preset_search.partition import Partition

INNER = 4
"""Folds by recording that a meta-learner's rows come from."""

Pair = tuple[int, int]


class Fits:
    """Fits parts on demand, and keeps their probabilities in a folder."""

    def __init__(self, partition: Partition, folder: Path, seed: int) -> None:
        self.partition, self._folder, self._seed = partition, folder / partition.unit, seed
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scaled: tuple[Any, Any] = (None, None)

    def outside(self, pair: Pair) -> Any:
        """Rows of neither fold, in the table's order."""
        return np.flatnonzero(~np.isin(self.partition.folds, pair))

    def of_pair(self, scaler: str, part: Part, pair: Pair) -> Any:
        """Return probabilities for the rows of both folds by a fit on all others: float64 (n, k), zero elsewhere."""
        asked = np.flatnonzero(np.isin(self.partition.folds, pair))
        return self._answers(scaler, part, (*sorted(pair), -1), self.outside(pair), asked)

    def out_of_fold(self, scaler: str, part: Part, pair: Pair) -> Any:
        """Return probabilities for the rows outside both folds, each by a fit without its recording: float64 (n, k)."""
        rows, partition = self.outside(pair), self.partition
        cut = StratifiedGroupKFold(INNER, shuffle=True, random_state=self._seed)
        whole = np.zeros((len(partition.codes), len(partition.classes)))
        for number, (rest, here) in enumerate(cut.split(rows, partition.codes[rows], partition.tracks[rows])):
            whole += self._answers(scaler, part, (*sorted(pair), number), rows[rest], rows[here])
        return whole

    def scaled(self, scaler: str, pair: Pair) -> Any:
        """Scale all rows by those outside both folds, for a meta-learner with passthrough: float64 (n, f)."""
        features, rows = self.partition.table.features, self.outside(pair)
        return make_scaler(scaler, len(rows)).fit(features[rows]).transform(features)

    def _answers(self, scaler: str, part: Part, place: tuple[int, ...], training: Any, asked: Any) -> Any:
        file = self._file(scaler, part, place)
        if not file.exists():
            rows = self._scale(scaler, training, asked, place)
            for answered, answers in fit_part(part, *rows, self.partition.codes[training], self._seed).items():
                _keep(self._file(scaler, answered, place), answers)
        whole = np.zeros((len(self.partition.codes), len(self.partition.classes)))
        whole[asked] = np.load(file)
        return whole

    def _scale(self, scaler: str, training: Any, asked: Any, place: tuple[int, ...]) -> tuple[Any, Any]:
        key = (scaler, place)
        if self._scaled[0] != key:
            features = self.partition.table.features
            fitted = make_scaler(scaler, len(training)).fit(features[training])
            self._scaled = (key, (fitted.transform(features[training]), fitted.transform(features[asked])))
        rows: tuple[Any, Any] = self._scaled[1]
        return rows

    def _file(self, scaler: str, part: Part, place: tuple[int, ...]) -> Path:
        name = hashlib.sha256(repr((scaler, part, place, self._seed)).encode()).hexdigest()[:24]
        return self._folder / f"{name}.npy"


def make_scaler(kind: str, rows: int) -> Any:
    """Make the product's own scaler."""
    return build_scaler(resolve_settings(overrides={"scaler": SCALERS[kind]}), rows=rows)


def fit_part(part: Part, rows: Any, asked: Any, codes: Any, seed: int) -> dict[Part, Any]:
    """Fit a part; give the probabilities of `asked`, of a network after each number of epochs the search asks about."""
    if isinstance(part, Knn):
        knn = KNeighborsClassifier(part.n_neighbors, weights="distance", p=1).fit(rows, codes)
        return {part: knn.predict_proba(asked)}
    if isinstance(part, Svc):
        gamma = part.gamma / (rows.shape[1] * rows.var())
        return {part: _softmax(SVC(C=part.C, gamma=gamma, cache_size=500).fit(rows, codes).decision_function(asked))}
    network = Network(part.options, rows.shape[1], int(codes.max()) + 1, seed)
    answers = network.fit_predict(rows, codes, asked, checkpoints(part.options))
    return {Mlp(part.options, epochs): probabilities for epochs, probabilities in answers.items()}


def _softmax(decisions: Any) -> Any:
    # Not calibrated: one fit does instead of the calibration's four. The preset's SVC is calibrated.
    powers = np.exp(decisions - decisions.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _keep(file: Path, answers: Any) -> None:
    aside = file.with_name(f"aside-{os.getpid()}-{file.name}")
    np.save(aside, answers)
    aside.replace(file)
