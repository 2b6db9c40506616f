"""The network in plain numpy: the layers, losses and optimiser of the preset's, without what Keras costs a step.

For the search alone. What is reported of the preset is fitted by Keras.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NetworkOptions:
    """Hyperparameters of one network; names as under [mlp]."""

    hidden: tuple[int, ...]
    dropout: float = 0.0
    noise: float = 0.0
    learning_rate: float = 1e-3
    batch_size: int = 128


class Network:
    """Dense layers with relu and dropout, Gaussian noise on the inputs, softmax, Adam on the cross-entropy."""

    def __init__(self, options: NetworkOptions, features: int, classes: int, seed: int) -> None:
        self._options, self._random = options, np.random.default_rng(seed)
        sizes = [features, *options.hidden, classes]
        self._weights = [_glorot(self._random, a, b) for a, b in itertools.pairwise(sizes)]
        self._biases = [np.zeros(b, np.float32) for b in sizes[1:]]
        self._adam = Adam(self._weights + self._biases, options.learning_rate)

    def fit_predict(self, rows: Any, codes: Any, asked: Any, epochs: Sequence[int]) -> dict[int, Floats]:
        """Fit for as many epochs as the last of `epochs` says; give the probabilities of `asked` after each of them."""
        rows, asked = rows.astype(np.float32), asked.astype(np.float32)
        targets = np.eye(len(self._biases[-1]), dtype=np.float32)[codes]
        answers = {}
        for epoch in range(1, max(epochs) + 1):
            order, size = self._random.permutation(len(rows)), self._options.batch_size
            for start in range(0, len(rows), size):
                batch = order[start : start + size]
                self._step(rows[batch], targets[batch])
            if epoch in epochs:
                answers[epoch] = self.predict(asked)
        return answers

    def predict(self, rows: Floats) -> Floats:
        """Return the probabilities, shape (n, k)."""
        for weights, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            rows = np.maximum(rows @ weights + bias, 0)
        return _softmax(rows @ self._weights[-1] + self._biases[-1])

    def _step(self, rows: Floats, targets: Floats) -> None:
        if self._options.noise:
            rows = rows + np.float32(self._options.noise) * self._random.standard_normal(rows.shape, np.float32)
        values, slopes = [rows], []
        for weights, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            sums = values[-1] @ weights + bias
            slopes.append((sums > 0) * self._kept(sums.shape))
            values.append(sums * slopes[-1])
        answers = _softmax(values[-1] @ self._weights[-1] + self._biases[-1])
        error = (answers - targets) / np.float32(len(rows))
        by_weights: list[Floats] = []
        by_biases: list[Floats] = []
        for layer in reversed(range(len(self._weights))):
            by_weights.insert(0, values[layer].T @ error)
            by_biases.insert(0, error.sum(axis=0))
            if layer:
                error = (error @ self._weights[layer].T) * slopes[layer - 1]
        self._adam.step(by_weights + by_biases)

    def _kept(self, shape: tuple[int, ...]) -> Any:
        """Return the factors of a dropout layer: 0, or what keeps the mean."""
        dropout = self._options.dropout
        if not dropout:
            return np.float32(1)
        return (self._random.random(shape, np.float32) >= dropout) * np.float32(1 / (1 - dropout))


class Adam:
    """Kingma, D.P. and Ba, J. (2015), "Adam: A method for stochastic optimization", in Keras' form and with its ε."""

    def __init__(self, parameters: list[Floats], rate: float) -> None:
        self._parameters, self._rate, self._steps = parameters, rate, 0
        self._means = [np.zeros_like(p) for p in parameters]
        self._squares = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: list[Floats]) -> None:
        """Move the parameters, in place."""
        self._steps += 1
        rate = np.float32(self._rate * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps))
        for p, g, m, s in zip(self._parameters, gradients, self._means, self._squares, strict=True):
            m += np.float32(0.1) * (g - m)
            s += np.float32(0.001) * (g * g - s)
            p -= rate * m / (np.sqrt(s) + np.float32(1e-7))


def _glorot(random: np.random.Generator, before: int, after: int) -> Floats:
    limit = np.sqrt(6 / (before + after))
    return random.uniform(-limit, limit, (before, after)).astype(np.float32)


def _softmax(sums: Floats) -> Floats:
    powers: Floats = np.exp(sums - sums.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
