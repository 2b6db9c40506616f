"""What Prometheus reads of answers: classes, confidence, rows unlike the training rows, and drift."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import rel_entr
from server.bundles.songs import SONG_FEATURES, TRAINED, draw_songs
from server.bundles.tiny import draw_rows
from server.running.live import Running, RunServer, running_server
from server.running.scraped import Samples, of, read, url, value, version_of

from genrestack import Client, Prediction
from genrestack.songs.aggregate import RangeCheck
from genrestack_bundle import Answer
from genrestack_export import GainNormalizer
from genrestack_proto.v1.model_pb2 import Feature, Model, Shares
from genrestack_server.models.registry import ServedModel
from genrestack_server.telemetry.aggregation import Together
from genrestack_server.telemetry.answers.columns import ColumnBuffer
from genrestack_server.telemetry.answers.drift import LEAST_ROWS, PIECE_ROWS, PIECES, DriftWindow
from genrestack_server.telemetry.answers.metrics import MOST_CLASSES, WORST
from genrestack_server.telemetry.answers.training_rows import TrainingRows
from genrestack_server.telemetry.metrics import Metrics

Matrix = npt.NDArray[np.float64]

SONGS = {"model": "songs", "version": "1"}


def predictions(samples: Samples) -> float:
    return sum(number for (name, _), number in samples.items() if name == "genrestack_predictions_total")


@pytest.fixture(scope="module")
def asked() -> Matrix:
    rows = draw_songs(LEAST_ROWS + 500, 2, drift=0.3).astype(np.float32).astype(np.float64)
    rows[::50, SONG_FEATURES.index("tempo")] = np.nan
    rows[::7, SONG_FEATURES.index("harmony_var")] *= 30
    return rows


@pytest.fixture(scope="module")
def running(song_models: Path) -> Iterator[Running]:
    with running_server(song_models, metrics_port=0) as running:
        yield running


@pytest.fixture(scope="module")
def read_after(running: Running, asked: Matrix) -> tuple[Prediction, Samples]:
    """What was answered, in calls of one row and of many, and what was read of it."""
    with Client(f"127.0.0.1:{running.port}", timeout=60) as client:
        parts = [client.predict(asked[:1]) for _ in range(5)]
        parts += [client.predict(part, novelty=True) for part in np.array_split(asked, 4)]
    novelty = [part.novelty for part in parts if part.novelty is not None]
    prediction = replace(
        parts[0],
        labels=[label for part in parts for label in part.labels],
        probabilities=np.concatenate([part.probabilities for part in parts]),
        novelty=np.concatenate(novelty),
    )
    return prediction, read(url(running))


def all_rows(asked: Matrix) -> Matrix:
    return np.concatenate([np.repeat(asked[:1], 5, axis=0), asked])


def test_classes_and_confidence_are_those_of_the_answers(read_after: tuple[Prediction, Samples]) -> None:
    prediction, samples = read_after
    for name, count in Counter(prediction.labels).items():
        assert value(samples, "genrestack_predictions_total", **SONGS, **{"class": name}) == count
    top = prediction.probabilities.max(axis=1)
    assert value(samples, "genrestack_top_probability_count", **SONGS) == len(top)
    assert value(samples, "genrestack_top_probability_sum", **SONGS) == pytest.approx(top.sum(dtype=np.float64))
    bounds = {
        dict(labels)["le"]: number for (name, labels), number in samples.items() if name.endswith("probability_bucket")
    }
    assert {"0.5", "0.99", "1.0", "+Inf"} < set(bounds)
    assert bounds == {bound: np.count_nonzero(top <= float(bound)) for bound in bounds}


def test_rows_unlike_the_training_rows_are_counted(
    read_after: tuple[Prediction, Samples], running: Running, asked: Matrix
) -> None:
    prediction, samples = read_after
    with Client(f"127.0.0.1:{running.port}", timeout=60) as client:
        info = client.model("songs")
    check = RangeCheck(info)
    check.watch(all_rows(asked))
    assert 0 < sum(check.flags) < len(check.flags)
    assert value(samples, "genrestack_out_of_range_rows_total", **SONGS) == sum(check.flags)
    assert value(samples, "genrestack_missing_values_total", **SONGS) == np.isnan(all_rows(asked)).sum() > 30
    assert info.novelty is not None
    assert prediction.novelty is not None
    assert value(samples, "genrestack_novelty_rows_total", **SONGS) == len(asked)
    novel = np.count_nonzero(prediction.novelty > info.novelty.threshold)
    assert value(samples, "genrestack_novel_rows_total", **SONGS) == novel > 0


def expected_psi(training: Matrix, rows: npt.NDArray[np.floating]) -> float:
    """Bins as they come with the deciles; those that fall together are one. All of it in float32, as rows travel."""
    edges = np.unique(np.nanquantile(training, np.arange(0.1, 0.95, 0.1)).astype(np.float32))
    shares = []
    for column in (training, rows):
        values = column[~np.isnan(column)].astype(np.float32)
        counts = np.bincount(np.digitize(values, edges, right=True), minlength=len(edges) + 1)
        shares.append(np.maximum(counts / len(values), 1e-4))
    return float(rel_entr(*shares).sum() + rel_entr(*shares[::-1]).sum())


def test_the_worst_features_are_told_with_their_drift(read_after: tuple[Prediction, Samples], asked: Matrix) -> None:
    training = draw_songs(TRAINED, 0)
    gain = GainNormalizer(SONG_FEATURES).fit(training)
    rows = all_rows(asked)
    columns = zip(SONG_FEATURES, gain.transform(training).T, gain.transform(rows).T, strict=True)
    expected = {name: expected_psi(before, now) for name, before, now in columns}
    _, samples = read_after
    told = {dict(labels)["feature"]: psi for (name, labels), psi in samples.items() if name == "genrestack_drift_psi"}
    worst = sorted(expected, key=lambda name: -expected[name])[:WORST]
    assert set(told) == set(worst) > {"tempo", "key"}
    assert told == pytest.approx({name: expected[name] for name in worst}, rel=1e-3, abs=1e-4)
    assert value(samples, "genrestack_drift_largest_psi", **SONGS) == max(told.values()) > 0.25
    assert value(samples, "genrestack_drift_window_rows", **SONGS) == len(rows)


def test_nothing_is_told_of_drift_from_a_few_rows_or_without_quantiles(
    song_models: Path, tiny_models: Path, run_server: RunServer
) -> None:
    for folder, rows in ((song_models, draw_songs(LEAST_ROWS - 1, 3)), (tiny_models, draw_rows(LEAST_ROWS + 1))):
        with run_server(folder, metrics_port=0) as running:
            with Client(f"127.0.0.1:{running.port}", timeout=60) as client:
                client.predict(rows)
            samples = read(url(running))
        names = {name for name, _ in samples}
        assert not names & {"genrestack_drift_psi", "genrestack_drift_largest_psi"}
        assert ("genrestack_drift_window_rows" in names) == (folder == song_models)
        assert sum(number for (name, _), number in samples.items() if name == "genrestack_predictions_total") == len(
            rows
        )


def manifest(training: npt.NDArray[np.float64], *quantiles: list[float]) -> Model:
    deciles = np.quantile(training, np.arange(1, 10) / 10)
    features = [Feature(name=f"odd{number}", quantiles=given) for number, given in enumerate(quantiles)]
    return Model(name="tiny", features=[*features, Feature(name="plain", quantiles=deciles)])


def turned(rows: npt.NDArray[np.floating]) -> ColumnBuffer:
    columns = ColumnBuffer(rows.shape[1], 2)
    columns.fill([rows.astype(np.float32)])
    return columns


def add(window: DriftWindow, rows: npt.NDArray[np.floating]) -> None:
    for part in np.array_split(rows, -(-len(rows) // 1000)):
        window.add(turned(part), len(part))


def test_the_window_slides_and_forgets() -> None:
    rng = np.random.default_rng(0)
    training = rng.normal(size=5000)
    known = TrainingRows(manifest(training))
    window = DriftWindow(known)
    for _ in range(3 * PIECES):
        add(window, rng.normal(2, 1, (PIECE_ROWS, 1)))
    assert window.worst(1)[0][1] > 1
    latest = [rng.normal(0.2, 1, (PIECE_ROWS // 4, 1)).astype(np.float32) for _ in range(4 * (PIECES - 1))]
    for rows in latest:
        add(window, rows)
    assert window.rows == (PIECES - 1) * PIECE_ROWS
    ((_, psi),) = window.worst(9)
    assert psi == pytest.approx(expected_psi(training, np.concatenate(latest)[:, 0]), rel=1e-2)


def test_quantiles_that_cannot_be_are_passed_over() -> None:
    training = np.random.default_rng(0).normal(size=5000)
    rising = list(map(float, range(9)))
    model = manifest(training, [], rising[:8], [*rising, 9.0], rising[::-1], [*rising[:8], np.nan], [-np.inf] * 9)
    model.quantile_shares["plain"].CopyFrom(Shares(values=[0.9, 0.1]))
    known = TrainingRows(model)
    assert known.measured.tolist() == [False] * 6 + [True]
    window = DriftWindow(known)
    rows = np.tile(training[:, None], (1, len(model.features))).astype(np.float32)
    rows[::2, :3], rows[1::2, :3] = np.nan, np.finfo(np.float32).max
    add(window, rows)
    ((name, psi),) = window.worst(WORST)
    assert name == "plain"
    assert psi == pytest.approx(0, abs=1e-3)
    assert known.outside(turned(rows[:1000])) == 0


def test_a_feature_of_one_value_drifts_when_it_takes_another() -> None:
    model = manifest(np.full(50, 0.1))
    model.quantile_shares["plain"].values.extend([1.0] * 9)
    known = TrainingRows(model)
    for other, large in ((0, False), (LEAST_ROWS // 10, True)):
        window, rows = DriftWindow(known), np.full((LEAST_ROWS, 1), 0.1, dtype=np.float32)
        rows[:other] = 0.2
        add(window, rows)
        assert (window.worst(1)[0][1] > 0.25) == large


@pytest.fixture
def served(tiny_models: Path, run_server: RunServer) -> Iterator[ServedModel]:
    with run_server(tiny_models) as running:
        assert running.server is not None
        yield with_deciles(running.server.models[0])


def with_deciles(served: ServedModel) -> ServedModel:
    changed = version_of(served, served.version)
    for feature in changed.model.features:
        feature.quantiles.extend(np.quantile(draw_rows(2000), np.arange(1, 10) / 10).tolist())
    return changed


def answer(rows: int, classes: int = 3) -> Answer:
    index = np.arange(rows) % classes
    return Answer(index, np.eye(classes, dtype=np.float32)[index], {})


def test_workers_are_added_up_but_not_their_drift(served: ServedModel) -> None:
    together, tiny = Together(), {"model": "tiny", "version": "2"}
    largest = []
    for name, drift in (("1", 0.2), ("2", 1.0)):
        metrics = Metrics()
        metrics.loaded(served, 0.1)
        metrics.answered(served, draw_rows(LEAST_ROWS) + np.float32(drift), answer(LEAST_ROWS))
        largest.append(value(of(metrics), "genrestack_drift_largest_psi", **tiny))
        together.update(name, metrics.packed())
    both = of(together)
    assert predictions(both) == 2 * LEAST_ROWS
    assert value(both, "genrestack_top_probability_sum", **tiny) == 2 * LEAST_ROWS
    assert value(both, "genrestack_drift_window_rows", **tiny) == 2 * LEAST_ROWS
    assert value(both, "genrestack_drift_largest_psi", **tiny) == largest[1] > largest[0]
    together.retire_worker("2")
    one = of(together)
    assert predictions(one) == 2 * LEAST_ROWS
    assert value(one, "genrestack_drift_largest_psi", **tiny) == largest[0]


def test_a_version_that_is_unloaded_has_no_drift_and_one_loaded_anew_goes_on(served: ServedModel) -> None:
    metrics = Metrics()
    metrics.loaded(served, 0.1)
    metrics.answered(served, draw_rows(LEAST_ROWS), answer(LEAST_ROWS))
    metrics.unloaded("tiny", 2)
    samples = of(metrics)
    assert predictions(samples) == LEAST_ROWS
    assert not [name for name, _ in samples if "drift" in name]
    again = version_of(served, 2)
    metrics.loaded(again, 0.1)
    # The one before may still answer what it was asked.
    metrics.answered(served, draw_rows(5), answer(5))
    metrics.answered(again, draw_rows(7), answer(7))
    samples = of(metrics)
    assert predictions(samples) == LEAST_ROWS + 7
    assert value(samples, "genrestack_drift_window_rows", model="tiny", version="2") == 7


def test_the_number_of_classes_told_is_bounded(served: ServedModel) -> None:
    many = version_of(served, 2)
    del many.model.classes[:]
    many.model.classes.extend(f"class {number}" for number in range(3 * MOST_CLASSES))
    metrics = Metrics()
    metrics.loaded(many, 0.1)
    metrics.answered(many, draw_rows(900), answer(900, 3 * MOST_CLASSES))
    samples = of(metrics)
    told = {dict(labels)["class"]: count for (name, labels), count in samples.items() if "predictions_total" in name}
    assert len(told) == MOST_CLASSES + 1
    assert told["class 0"] == 3
    assert told[""] == 600


def test_nothing_is_lost_between_threads(served: ServedModel) -> None:
    metrics, done = Metrics(), threading.Event()
    metrics.loaded(served, 0.1)

    def keep_reading() -> None:
        while not done.is_set():
            of(metrics)

    reader = threading.Thread(target=keep_reading)
    reader.start()
    rows, said = draw_rows(300), answer(300)
    for _ in range(400):
        metrics.answered(served, rows, said)
        metrics.answered(served, rows[:1], Answer(said.class_index[:1], said.probabilities[:1], {}))
    done.set()
    reader.join()
    metrics.close()
    assert predictions(of(metrics)) == 400 * 301


def test_rows_without_a_finite_answer_are_not_counted(served: ServedModel) -> None:
    metrics = Metrics()
    metrics.loaded(served, 0.1)
    said = answer(4)
    said.probabilities[1] = np.nan
    metrics.answered(served, draw_rows(4), said)
    assert predictions(of(metrics)) == 3
