"""The search for a preset sees nothing of its outer fold, and its figures are what they say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from tools.preset_search import candidates, choice, fits
from tools.preset_search.choice import Search, Side, Trial
from tools.preset_search.network import Network, NetworkOptions
from tools.preset_search.partition import FOLDS, Partition, read_partition
from tools.preset_search.scores import score
from tools.preset_search.telling import Counts, as_table, figures

TINY = NetworkOptions((6,), dropout=0.2, noise=0.1, batch_size=16)


@pytest.fixture(scope="module")
def partition(tmp_path_factory: pytest.TempPathFactory) -> Partition:
    """Three genres, 60 recordings of 30 artists, three windows each."""
    folder = tmp_path_factory.mktemp("search")
    random = np.random.default_rng(0)
    tracks = np.arange(60)
    names = [f"{'abc'[t % 3]}.{t:05d}" for t in tracks]
    rows = [(f"{names[t]}.{w}.wav", *(random.normal(size=3) + t % 3), "abc"[t % 3]) for t in tracks for w in range(3)]
    pd.DataFrame(rows, columns=["filename", "x", "y", "z", "label"]).to_csv(folder / "table.csv", index=False)
    artists = [(f"{name}.wav", f"artist {t // 6 * 3 + t % 3}") for t, name in enumerate(names)]
    pd.DataFrame(artists, columns=["filename", "artist_group"]).to_csv(folder / "artists.csv", index=False)
    return read_partition(folder / "table.csv", folder / "artists.csv", "artist", 42)


@pytest.fixture
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """One or two candidates of each kind."""
    parts: dict[str, Any] = {
        "knn": (candidates.Knn(3), candidates.Knn(5)),
        "svc": (candidates.Svc(1.0, 1.0),),
        "mlp": (candidates.Mlp(TINY, 2), candidates.Mlp(TINY, 4)),
    }
    monkeypatch.setattr(candidates, "GRIDS", parts)
    monkeypatch.setattr(choice, "GRIDS", parts)
    monkeypatch.setattr(choice, "FIRST", {name: grid[-1] for name, grid in parts.items()})


def searched(partition: Partition, folder: Path) -> tuple[Any, list[Trial]]:
    search = Search([Side(fits.Fits(partition, folder, 7), 0)], lambda trial: None)
    return search.choose(), search.trials


def test_recordings_artists_and_folds(partition: Partition) -> None:
    assert len(np.unique(partition.tracks)) == 60
    assert len(np.unique(partition.groups)) == 30
    for fold in range(FOLDS):
        assert not set(partition.groups[partition.side(fold)]) & set(partition.groups[partition.held_back(fold)])


@pytest.mark.long
@pytest.mark.usefixtures("small_grids")
def test_the_outer_fold_has_no_say(partition: Partition, tmp_path: Path) -> None:
    """With the outer fold's labels and features turned around, everything that was tried comes out the same."""
    codes, features = partition.codes.copy(), partition.table.features.copy()
    held_back = partition.held_back(0)
    codes[held_back] = 2 - codes[held_back]
    features[held_back] *= -100
    turned = replace(partition, codes=codes, table=replace(partition.table, features=features))
    first, second = searched(partition, tmp_path / "a"), searched(turned, tmp_path / "b")
    assert first == second
    assert {trial.stage for trial in first[1]} >= {"scaler", "knn", "svc", "mlp", "meta", "without knn"}


@pytest.mark.usefixtures("small_grids")
def test_rows_for_the_meta_learner_come_from_fits_without_their_recording(partition: Partition, tmp_path: Path) -> None:
    """A nearest neighbour that had seen a row would answer with the row's own label, whatever that is."""
    noise = np.random.default_rng(3).integers(0, 3, len(partition.codes))
    labels = noise[np.unique(partition.tracks, return_index=True)[1]][partition.tracks]
    junk = replace(partition, codes=labels)
    one = fits.Fits(junk, tmp_path, 7)
    rows = one.outside((0, 1))
    answers = one.out_of_fold("normal", candidates.Knn(3), (0, 1))
    assert (answers[rows].sum(axis=1) > 0.99).all()
    assert np.mean(answers[rows].argmax(axis=1) == labels[rows]) < 0.6
    assert not answers[np.setdiff1d(np.arange(len(labels)), rows)].any()


def test_songs_are_the_mean_of_their_windows() -> None:
    answers = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]])
    reached = score(answers, np.array([0, 0, 0, 1]), np.array([5, 5, 5, 2]))
    assert (reached.windows, reached.songs, reached.accuracy) == (0.5, 1.0, 0.75)
    assert reached.log_loss == pytest.approx(-np.mean(np.log([0.9, 0.4, 0.4, 0.8])))


def test_a_network_learns_as_keras_does() -> None:
    """On the same rows, with the same kind of network, both end at the same accuracy within a few points."""
    import keras

    random = np.random.default_rng(0)
    codes = np.arange(900) % 3
    rows = random.normal(size=(900, 5)) + codes[:, None] * np.array([1.0, -1.0, 0.5, 0.0, 0.0])
    options = NetworkOptions((32,), dropout=0.3, learning_rate=5e-3, batch_size=32)
    own = Network(options, 5, 3, seed=1).fit_predict(rows[:600], codes[:600], rows[600:], (1, 15))
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((5,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dropout(0.3)]
    network = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
    network.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    network.fit(rows[:600], codes[:600], epochs=15, batch_size=32, verbose=0)
    reached, expected = (
        accuracy_score(codes[600:], answers.argmax(axis=1))
        for answers in (own[15], network.predict(rows[600:], verbose=0))
    )
    assert own[1].shape == (300, 3)
    np.testing.assert_allclose(own[15].sum(axis=1), 1, rtol=1e-5)
    assert reached > 0.6
    assert abs(reached - expected) < 0.06


def test_gradients_are_those_of_the_loss() -> None:
    """Adam's first step goes against the sign of each gradient, which differences of the loss know too."""
    network = Network(NetworkOptions((4,), learning_rate=1e-3), 3, 2, seed=0)
    random = np.random.default_rng(1)
    rows, targets = random.normal(size=(20, 3)).astype(np.float32), np.eye(2, dtype=np.float32)[np.arange(20) % 2]

    def loss() -> float:
        return float(-np.mean(np.log((network.predict(rows).astype(np.float64) * targets).sum(axis=1))))

    slopes = []
    for weights in network._weights:
        for place in np.ndindex(weights.shape):
            before = weights[place]
            weights[place] = before + 1e-2
            up = loss()
            weights[place] = before - 1e-2
            slopes.append(up - loss())
            weights[place] = before
    old = [weights.copy() for weights in network._weights]
    network._step(rows, targets)
    moved = np.concatenate([(w - o).ravel() for w, o in zip(network._weights, old, strict=True)])
    clear = np.abs(slopes) > 1e-4
    assert clear.sum() > 10
    np.testing.assert_array_equal(np.sign(moved[clear]), -np.sign(np.array(slopes)[clear]))


def test_intervals_are_over_groups() -> None:
    random = np.random.default_rng(0)
    asked = np.full(60, 10)
    worse = [Counts(random.binomial(10, 0.5, 60), asked) for _ in range(5)]
    better = [Counts(np.minimum(c.right + 1, 10), asked) for c in worse]
    own, difference = figures(better, [worse], seed=1)
    assert own.mean == pytest.approx(np.mean([c.right.sum() / 600 for c in better]))
    assert own.low < own.mean < own.high
    # Every group gains a tenth, so nearly nothing is uncertain of the difference though much is of either side.
    assert difference.low == pytest.approx(difference.high) == pytest.approx(0.1)
    # By the normal approximation of a binomial over 3,000 windows.
    assert (own.high - own.low) == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 3000), rel=0.2)


def test_figures_as_a_table() -> None:
    lines = [
        ["track", "0 1", "windows", "best stack", "", "0.7512", "0.7301", "0.7702"],
        ["track", "0 1", "windows", "best stack", "notebook stack", "0.0412", "-0.0101", "0.0502"],
        ["track", "0 1", "songs", "best stack", "", "0.8100", "0.7900", "0.8300"],
        ["track", "0 1", "songs", "best stack", "notebook stack", "0.0300", "0.0100", "0.0500"],
    ]
    assert list(as_table(lines))[2:] == [
        "| track | 0 1 | best stack | 0.751 [0.730, 0.770] | 0.810 [0.790, 0.830] |",
        "| track | 0 1 | best stack less notebook stack | +4.1 [-1.0, +5.0] | +3.0 [+1.0, +5.0] |",
    ]
