"""Whole epochs of a network in one compiled call each.

Keras takes every batch out of an iterator: a hand-over between threads, which costs as much as the arithmetic of a
small network. Here its iterator yields an epoch's rows at once, in the order that it draws anyway, and one call
compiled by XLA goes through them batch by batch. Each batch is Keras's own `train_step`: layers, loss, optimizer and
metrics are the model's, and so are history and callbacks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from genrestack_training.models.tensorflow_import import import_tensorflow

import_tensorflow()

import keras  # noqa: E402 - after the quiet import, which is the point of it
import tensorflow as tf  # noqa: E402 - likewise

_LAYERS: Final = (keras.layers.Dense, keras.layers.Activation)
"""Layers that draw nothing and keep nothing but their weights."""
_OPTIMIZERS: Final = (keras.optimizers.Adam, keras.optimizers.SGD, keras.optimizers.RMSprop)
_MOST_BYTES: Final = 2**26
"""A call cannot be interrupted, and an epoch's rows are in memory twice."""


def is_plain(model: keras.Model) -> bool:
    """Return whether a batch changes nothing but weights, optimizer and metrics, and by its rows alone.

    Args:
        model: built and compiled.

    """
    return (
        type(model) is keras.Sequential
        and all(type(layer) in _LAYERS for layer in model.layers)
        and not any(_regularizers(layer) for layer in model.layers)
        and type(model.optimizer) in _OPTIMIZERS
        and model.optimizer.gradient_accumulation_steps is None
        and not model.run_eagerly
        and not tf.distribute.has_strategy()
    )


def _regularizers(layer: Any) -> bool:
    names = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")
    return any(getattr(layer, name, None) is not None for name in names)


def are_plain_arrays(rows: Any, labels: Any) -> bool:
    """Return whether rows and labels are two arrays, and small enough to be handed over by the epoch."""
    return isinstance(rows, np.ndarray) and isinstance(labels, np.ndarray) and rows.nbytes <= _MOST_BYTES


@contextmanager
def one_call_an_epoch(model: keras.Model, batch_size: int) -> Iterator[None]:
    """Make a `fit` within the block compute each of Keras's batches as an epoch of smaller ones.

    Args:
        model: plain, and compiled again after the block.
        batch_size: rows a step; `fit` is given the number of all rows in its place.

    """
    model.steps_per_execution = 1
    model.train_function = _epoch_function(model, batch_size)
    try:
        yield
    finally:
        model.train_function = None


def _epoch_function(model: keras.Model, batch_size: int) -> Callable[[Any], Any]:
    def epoch(rows: tf.Tensor, labels: tf.Tensor) -> Any:
        whole, rest = divmod(int(rows.shape[0]), batch_size)

        def step(number: tf.Tensor) -> list[tf.Tensor]:
            start = number * batch_size
            model.train_step((_part(rows, start, batch_size), _part(labels, start, batch_size)))
            return [number + 1]

        if whole:
            tf.while_loop(lambda number: number < whole, step, [tf.constant(0)])
        if rest:
            model.train_step((rows[-rest:], labels[-rest:]))
        return model.get_metrics_result()

    compiled = tf.function(epoch, jit_compile=True, autograph=False)
    return lambda iterator: compiled(*next(iterator))


def _part(values: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """Cut out rows from `start` on; their number is known when this is compiled."""
    rest = values.shape[1:]
    return tf.slice(values, [start, *[0] * len(rest)], [size, *rest])
