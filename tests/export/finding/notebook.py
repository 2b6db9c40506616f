"""A notebook as people have them, run as a script: functions, layers and losses of its own are in `__main__`."""

DEFINITIONS = """
import keras
from keras import layers


def network(meta):
    return compiled(layers.Dense(8, activation="relu"))


def compiled(*middle, loss="sparse_categorical_crossentropy"):
    model = keras.Sequential([keras.Input((4,)), *middle, layers.Dense(3, activation="softmax")])
    model.compile("adam", loss=loss)
    return model


@keras.saving.register_keras_serializable("mine")
class Doubled(layers.Layer):
    def call(self, rows):
        return 2 * rows


class Scaled(layers.Layer):
    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, rows):
        return self.factor * rows

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


def loss(labels, answers):
    return keras.losses.sparse_categorical_crossentropy(labels, answers)


def weighted(weight):
    def inner(labels, answers):
        return weight * loss(labels, answers)

    return inner


class Outer:
    class Inner(layers.Layer):
        def call(self, rows):
            return rows + 1


def bent(rows):
    return keras.activations.swish(rows) + 1


def halved(rows):
    return rows / 2
"""

FIT = """
import pickle
import sys
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import tensorflow as tf
from scikeras.wrappers import KerasClassifier
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

FACTOR = 3.0
files = Path(sys.argv[1])
with np.load(files / "training.npz") as arrays:
    rows, codes, unseen = arrays["rows"], arrays["codes"], arrays["unseen"]


def stack(function):
    net = KerasClassifier(function, epochs=1, verbose=0, random_state=0).fit(rows, codes)
    members = [("knn", KNeighborsClassifier(3).fit(rows, codes)), ("net", net)]
    return StackingClassifier(members, LogisticRegression(), cv="prefit").fit(rows, codes)


kinds = {
    "own_layer": lambda: compiled(Doubled()),
    "unregistered_layer": lambda: compiled(Scaled(0.5)),
    "own_loss": lambda: compiled(loss=loss),
    "loss_in_a_closure": lambda: compiled(loss=weighted(2.0)),
    "nested_layer": lambda: compiled(Outer.Inner()),
    "own_activation": lambda: compiled(layers.Dense(8, activation=bent)),
    "function_layer": lambda: compiled(layers.Lambda(halved)),
    "lambda_layer": lambda: compiled(layers.Lambda(lambda rows: rows * 2)),
    "lambda_of_libraries": lambda: compiled(layers.Lambda(lambda rows: tf.abs(rows) * np.float32(2))),
    "lambda_of_a_name": lambda: compiled(layers.Lambda(lambda rows: rows * FACTOR)),
}
answers = {}
for kind, function in kinds.items():
    fitted = stack(function)
    (files / f"{kind}.pkl").write_bytes(cloudpickle.dumps(fitted))
    answers[kind] = fitted.predict_proba(unseen)
fitted = stack(network)
joblib.dump(fitted, files / "joblib.joblib")
joblib.dump(fitted, files / "compressed.joblib", compress=("xz", 3))
(files / "pickle.pkl").write_bytes(pickle.dumps(fitted))
(files / "by_value.pkl").write_bytes(cloudpickle.dumps(fitted))
(files / "in_a_dict.pkl").write_bytes(pickle.dumps({"model": fitted, "build": network, "layer": Doubled}))
fitted.named_estimators_["net"].model_.save(files / "network.keras")
np.savez(files / "answers.npz", network=fitted.predict_proba(unseen), **answers)
"""
