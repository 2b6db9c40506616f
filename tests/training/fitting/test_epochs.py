"""Epochs in one compiled call each, against Keras's own loop over the batches."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from genrestack_training import build_stack
from genrestack_training.models import mlp as mlp_module
from genrestack_training.models.epochs import is_plain, one_call_an_epoch

keras = pytest.importorskip("keras")

ROWS = np.random.default_rng(0).random((500, 12))
LABELS = ROWS[:, :4].argmax(axis=1)
BATCH = 32
EPOCHS = 6


@pytest.fixture(autouse=True)
def _ops_are_as_they_come() -> None:
    """Undo what a seed does in scikeras: operations stay deterministic in the process, and Keras then compiles none."""
    from tensorflow.python.framework import config

    config.disable_op_determinism()


@pytest.fixture(autouse=True)
def _every_fit_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp_module, "_WORTH_COMPILING_STEPS", 1)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch sizes of the fits whose epochs were one call each."""
    taken: list[int] = []

    def noted(model: Any, batch_size: int) -> Any:
        taken.append(batch_size)
        return one_call_an_epoch(model, batch_size)

    monkeypatch.setattr(mlp_module, "one_call_an_epoch", noted)
    return taken


def _network(seed: int | None = 3, **settings: Any) -> Any:
    settings = {"hidden": [20, 15], "epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 1e-3} | settings
    return dict(build_stack(overrides={"mlp": settings}, seed=seed).estimators)["mlp"]


def _in_keras_loop(network: Any, rows: npt.NDArray[Any] = ROWS, labels: npt.NDArray[Any] = LABELS) -> Any:
    """Fit as Keras does by itself: a weight of 1 for each row changes nothing but the loop."""
    return network.fit(rows, labels, sample_weight=np.ones(len(rows)))


@pytest.mark.parametrize("rows", [500, 480, 20], ids=["a rest", "no rest", "less than a batch"])
def test_weights_and_history_are_those_of_keras_own_loop(calls: list[int], rows: int) -> None:
    """Same seed, and so the same weights to begin with and the same order of rows in every epoch."""
    ours, theirs = _network().fit(ROWS[:rows], LABELS[:rows]), _in_keras_loop(_network(), ROWS[:rows], LABELS[:rows])
    assert calls == [BATCH]
    for found, expected in zip(ours.model_.get_weights(), theirs.model_.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(ours.history_["loss"], theirs.history_["loss"], rtol=1e-5)
    assert len(ours.history_["loss"]) == EPOCHS
    steps = -(-rows // BATCH) * EPOCHS
    assert [int(each.model_.optimizer.iterations) for each in (ours, theirs)] == [steps, steps]
    np.testing.assert_allclose(ours.predict_proba(ROWS), theirs.predict_proba(ROWS), rtol=0, atol=2e-6)


def test_the_order_of_rows_is_drawn_anew_in_each_epoch_and_decides() -> None:
    """With one row a batch and a rate that leaves the last rows' mark, another order would be other weights."""
    settings: dict[str, Any] = {"batch_size": 1, "learning_rate": 0.05, "epochs": 2}
    ours, theirs = _network(**settings).fit(ROWS[:40], LABELS[:40]), _network(**settings)
    _in_keras_loop(theirs, ROWS[:40], LABELS[:40])
    other = _network(seed=3, **settings)
    other.set_params(shuffle=False)
    other.fit(ROWS[:40], LABELS[:40])
    distance = [
        max(float(np.abs(a - b).max()) for a, b in zip(ours.model_.get_weights(), each.model_.get_weights()))  # noqa: B905
        for each in (theirs, other)
    ]
    assert distance[0] < 1e-4
    assert distance[1] > 1e-2


def test_a_seed_makes_it_repeatable(calls: list[int]) -> None:
    first, again, other = (_network(seed).fit(ROWS, LABELS).predict_proba(ROWS) for seed in (3, 3, 4))
    assert calls == [BATCH] * 3
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"dropout": 0.2}, {}),
        ({"noise": 0.1}, {}),
        ({}, {"validation_split": 0.2}),
        ({}, {"shuffle": False}),
        ({}, {"callbacks": keras.callbacks.TerminateOnNaN}),
        ({}, {"class_weight": "balanced"}),
        ({}, {"fit__validation_batch_size": 10}),
        ({}, {"optimizer": "nadam"}),
        ({}, {"optimizer__gradient_accumulation_steps": 2}),
    ],
)
def test_anything_unusual_takes_keras_own_loop(
    calls: list[int], settings: dict[str, Any], parameters: dict[str, Any]
) -> None:
    network = _network(epochs=1, **settings).set_params(**parameters).fit(ROWS, LABELS)
    assert network.predict_proba(ROWS[:1]).shape == (1, 4)
    assert calls == []


@pytest.mark.parametrize(
    ("layer", "plain"),
    [
        (keras.layers.Dense(4, activation="relu"), True),
        (keras.layers.Activation("relu"), True),
        (keras.layers.Dropout(0.1), False),
        (keras.layers.BatchNormalization(), False),
        (keras.layers.GaussianNoise(0.1), False),
        (keras.layers.Dense(4, kernel_regularizer="l2"), False),
        (keras.layers.Lambda(lambda x: x), False),
    ],
)
def test_only_layers_that_draw_and_keep_nothing_are_plain(layer: Any, plain: bool) -> None:
    network = keras.Sequential([keras.layers.Input((5,)), layer, keras.layers.Dense(2)])
    network.compile(optimizer="adam", loss="mse")
    assert is_plain(network) is plain


def test_the_listener_hears_of_every_epoch() -> None:
    network, heard = _network(), []
    vars(network)["_epoch_listener"] = lambda done, of: heard.append((done, of))
    network.fit(ROWS, LABELS)
    assert heard == [(number, EPOCHS) for number in range(1, EPOCHS + 1)]


def test_a_fitted_network_is_left_as_keras_leaves_one(calls: list[int]) -> None:
    network = _network().fit(ROWS, LABELS)
    model = network.model_
    assert (model.train_function, model.steps_per_execution, model.jit_compile) == (None, 1, False)
    weights = [np.array(each) for each in model.get_weights()]
    model.fit(ROWS, LABELS, epochs=1, batch_size=100, verbose=0)
    assert any(np.abs(a - b).max() > 0 for a, b in zip(weights, model.get_weights(), strict=True))
    assert calls == [BATCH]


def test_partial_fit_goes_on_from_where_it_was(calls: list[int]) -> None:
    ours, theirs = _network(), _network()
    ours.fit(ROWS, LABELS)
    theirs.fit(ROWS, LABELS)
    ours.partial_fit(ROWS, LABELS)
    theirs.partial_fit(ROWS, LABELS, sample_weight=np.ones(len(ROWS)))
    assert len(ours.history_["loss"]) == EPOCHS + 1
    for found, expected in zip(ours.model_.get_weights(), theirs.model_.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert calls == [BATCH, BATCH]
