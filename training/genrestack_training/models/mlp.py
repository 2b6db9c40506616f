"""The notebook's neural network, wrapped so that a stack can rely on it. Importing this module imports TensorFlow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from sklearn.utils.validation import _num_samples

from genrestack_training.models.epochs import are_plain_arrays, is_plain, one_call_an_epoch
from genrestack_training.models.tensorflow_import import import_tensorflow

import_tensorflow()

import keras  # noqa: E402 - after the quiet import, which is the point of it
from scikeras.wrappers import KerasClassifier  # noqa: E402 - likewise
from tensorflow.python.framework import config as tf_config  # noqa: E402 - likewise

_WORTH_COMPILING_STEPS: Final = 3000
_STEPS_AN_EXECUTION: Final = 32


def build_mlp(
    meta: Mapping[str, Any], hidden: Sequence[int], activation: str, dropout: float = 0.0, noise: float = 0.0
) -> keras.Sequential:
    """Build the uncompiled network: one dense layer per width in `hidden`, then a softmax over the classes.

    Args:
        meta: scikeras' description of the data; `n_features_in_` and `n_classes_` are read.
        hidden: width of each hidden layer.
        activation: Keras name of the hidden layers' activation.
        dropout: share of each hidden layer's units that a training step leaves out.
        noise: standard deviation of the noise that a training step adds to the features.

    """
    layers = [keras.layers.Input((meta["n_features_in_"],))]
    layers += [keras.layers.GaussianNoise(noise)] if noise else []
    for width in hidden:
        layers.append(keras.layers.Dense(width, activation=activation))
        layers += [keras.layers.Dropout(dropout)] if dropout else []
    layers.append(keras.layers.Dense(meta["n_classes_"], activation="softmax"))
    return keras.Sequential(layers)


class StackableKerasClassifier(KerasClassifier):  # type: ignore[misc]  # scikeras has no types
    """A `KerasClassifier` that keeps what scikit-learn promises of a classifier, so that it can stand in a stack.

    scikeras 0.13 breaks three promises, kept here: probabilities of a single row have shape (1, k) and not (k,);
    scikit-learn's tags say "classifier"; and a fit with `random_state` does not leave TensorFlow's op determinism
    on for the rest of the process, where every later unseeded fit would raise.
    """

    # Called with (epochs done, epochs in all) after each epoch; set for the length of one fit, never pickled.
    _epoch_listener: Callable[[int, int], None] | None = None
    # scikeras' own: the callbacks of the fit under way.
    _fit_callbacks: list[Any]
    # How the fit under way is executed; for its length only.
    _execution: Mapping[str, Any] | None = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> "StackableKerasClassifier":
        """Fit as scikeras does, quicker where that pays, and leave TensorFlow's op determinism as it was found."""
        self._execution = self.execution(_num_samples(X))
        try:
            with _determinism_restored():
                super().fit(X, y, sample_weight=sample_weight, **kwargs)
        finally:
            del self._execution
        if self.model_.jit_compile:
            self._forget_execution()
        return self

    def execution(self, rows: int) -> Mapping[str, Any]:
        """Return the options with which Keras executes a fit on that many rows."""
        # XLA draws random numbers on a CPU so slowly that a fit of the preset `best` takes 15 times as long.
        draws = any(getattr(self, f"model__{name}", 0.0) for name in ("dropout", "noise"))
        return {} if draws else execution_options(rows, int(self.epochs), int(self.batch_size))

    def _is_plain_fit(self, X: Any, y: Any, sample_weight: Any, options: Mapping[str, Any]) -> bool:
        """Return whether nothing of a long fit would notice that its epochs are one call each."""
        parameters = self.get_params(deep=False)
        return (
            bool(self._execution)
            and sample_weight is None
            and options.keys() <= {"warm_start", "epochs", "initial_epoch"}
            and not any(parameters.get(name) for name in ("callbacks", "validation_split", "class_weight"))
            and not any(name.startswith(("fit__", "callbacks__")) for name in parameters)
            and parameters.get("shuffle", True) is True
            and int(self.batch_size) > 0
            and are_plain_arrays(X, y)
            and is_plain(self.model_)
        )

    def _forget_execution(self) -> None:
        """Reset how the network is executed: what makes a long fit quicker would slow its predictions."""
        arguments = self._get_compile_kwargs()
        self.model_.compile(**{**arguments, "optimizer": self.model_.optimizer})

    def _get_compile_kwargs(self) -> dict[str, Any]:
        return {**super()._get_compile_kwargs(), **(self._execution or {})}

    def predict_proba(self, X: Any, **kwargs: Any) -> np.ndarray:
        """Return the probabilities, float32, shape (n, k), for any n including 1."""
        return np.asarray(super().predict_proba(X, **kwargs)).reshape(_num_samples(X), -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags

    def _initialize_callbacks(self) -> None:
        super()._initialize_callbacks()
        if self._epoch_listener is not None:
            self._fit_callbacks = [*self._fit_callbacks, _EpochCallback(self._epoch_listener)]

    def _fit_keras_model(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> None:
        try:
            if self._is_plain_fit(X, y, sample_weight, kwargs):
                with one_call_an_epoch(self.model_, int(self.batch_size)):
                    super()._fit_keras_model(X, y, sample_weight, batch_size=len(X), **kwargs)
            else:
                super()._fit_keras_model(X, y, sample_weight, **kwargs)
        finally:
            self._fit_callbacks = [c for c in self._fit_callbacks if not isinstance(c, _EpochCallback)]


def execution_options(rows: int, epochs: int, batch_size: int) -> dict[str, Any]:
    """Choose how Keras executes a fit: the arithmetic is the same, up to rounding.

    Compiling a training step with XLA, and running several of them without returning to Python, takes half the time
    a step, and some seconds to compile; a short fit is left as it is.
    """
    steps = -(-rows // batch_size)
    if steps * epochs < _WORTH_COMPILING_STEPS:
        return {}
    return {"jit_compile": True, "steps_per_execution": min(steps, _STEPS_AN_EXECUTION)}


class _EpochCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is not followed by mypy
    """Reports to a listener how many epochs are done."""

    def __init__(self, listener: Callable[[int, int], None]) -> None:
        super().__init__()
        self._listener = listener

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - Keras' signature
        """Report the count."""
        self._listener(epoch + 1, self.params["epochs"])


@contextmanager
def _determinism_restored() -> Iterator[None]:
    """Restore TensorFlow's op determinism when the block ends.

    scikeras means to do so, but asks for the old state only after it has set the environment variable that
    TensorFlow answers from.
    """
    before = tf_config.is_op_determinism_enabled()
    try:
        yield
    finally:
        if not before:
            tf_config.disable_op_determinism()
