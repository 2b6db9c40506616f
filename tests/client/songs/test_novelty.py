"""A song unlike anything in the training is told as that; calibrated on songs held out, over a real port."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from client.both_clients import assert_same
from server.running.live import Running, running_server
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler
from support.samples.songs import rows_of_kinds, write_recording
from support.samples.stacks import FittedStack, export

import genrestack
from genrestack import Client, ProtocolError
from genrestack._core.neighbors import read_novelty
from genrestack.cli.main import run
from genrestack.songs.aggregate import NOVEL
from genrestack_audio import FEATURE_NAMES
from genrestack_bundle import open_bundle
from genrestack_export.converters.nearest.novelty import NoveltyScale
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb
from genrestack_training.evaluation.novelty import novelty_scale

KNOWN = ("band", "organ")
"""The third kind, hiss, is in no training."""


@pytest.fixture(scope="module")
def known() -> tuple[FittedStack, NoveltyScale]:
    """A stack of 57 features of two kinds of recordings, some songs of each, and what is usual among them."""
    windows, labels = rows_of_kinds()
    windows, labels = windows[np.isin(labels, KNOWN)], labels[np.isin(labels, KNOWN)]
    rng = np.random.default_rng(0)
    rows = np.repeat(windows, 8, axis=0)
    rows *= 1 + rng.normal(scale=0.05, size=rows.shape)
    words, songs = np.repeat(labels, 8), np.arange(len(rows)) // 3
    training, held = songs % 5 > 0, songs % 5 == 0
    scaler = MinMaxScaler().fit(rows[training])
    stack = StackingClassifier(
        [("knn", KNeighborsClassifier(n_neighbors=2, weights="distance", p=1))], LogisticRegression(), cv=3
    ).fit(scaler.transform(rows[training]), words[training])
    knn = stack.named_estimators_["knn"]
    scale = novelty_scale(knn._fit_X, knn._y, songs[training], songs[training], unit="track")
    assert scale is not None
    fitted = FittedStack(
        stack, scaler, FEATURE_NAMES, tuple(map(str, stack.classes_)), rows[training], rows[held], words[held].tolist()
    )
    return fitted, scale


@pytest.fixture(scope="module")
def folder(known: tuple[FittedStack, NoveltyScale], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of `songs`, which knows what is usual, and `plain`, which does not."""
    models = tmp_path_factory.mktemp("novelty")
    fitted, scale = known
    names = [f"song {row // 3}" for row in range(len(fitted.training_rows))]
    export(fitted, models, "songs", neighbors=True, row_names=names, novelty=scale)
    export(fitted, models, "plain")
    return models


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    with running_server(folder, max_batch_rows=8) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[Client]:
    with Client(f"127.0.0.1:{running.port}", timeout=60) as client:
        yield client


def test_rows_are_as_far_as_scikit_learn_says(
    client: Client, folder: Path, known: tuple[FittedStack, NoveltyScale]
) -> None:
    fitted, scale = known
    rows = np.concatenate([fitted.rows, fitted.rows * 3])
    expected = scale.measure(fitted.scale(rows.astype(np.float32)))
    prediction = client.predict(rows, model="songs", novelty=True)
    assert prediction.novelty is not None
    np.testing.assert_allclose(prediction.novelty, expected, rtol=1e-6)
    assert (prediction.novelty[len(fitted.rows) :] > prediction.novelty[: len(fitted.rows)].max()).all()
    with genrestack.load(folder, threads=1) as here:
        assert_same(here.predict(rows, model="songs", novelty=True), prediction, atol=0)
    batches = client.predict_stream(np.array_split(rows, 3), model="songs", novelty=True)
    assert np.concatenate([batch.novelty for batch in batches]).tolist() == prediction.novelty.tolist()
    assert client.predict(rows, model="songs").novelty is None
    assert client.predict(rows, model="plain", novelty=True).novelty is None


def test_a_song_of_another_kind_is_warned_of(client: Client, tmp_path: Path) -> None:
    hiss = client.classify_song(write_recording(tmp_path / "hiss.wav", "hiss"), model="songs", neighbors=2)
    described = client.model("songs").novelty
    assert described is not None
    assert hiss.novelty is not None
    assert hiss.windows.novelty is not None
    assert hiss.novelty == hiss.windows.novelty.mean() > described.threshold
    assert [warning for warning in hiss.warnings if warning.startswith(NOVEL)]
    assert len(hiss.neighbors) == 2
    assert hiss.neighbors[0].name.startswith("song ")
    # A recording that is in the training, note for note.
    seen = client.classify_song(write_recording(tmp_path / "seen.wav", "organ", seconds=15, seed=0), model="songs")
    assert seen.novelty is not None
    assert seen.novelty < described.threshold
    assert not [warning for warning in seen.warnings if NOVEL in warning]
    assert client.classify_song(tmp_path / "hiss.wav", model="plain").novelty is None


def test_the_command_says_it_in_a_line(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*options: str) -> tuple[str, str]:
        status = run([*options, "--server", f"127.0.0.1:{running.port}", "--model", "songs", "--neighbors", "1"])
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return captured.out, captured.err

    monkeypatch.setenv("COLUMNS", "400")
    song = str(write_recording(tmp_path / "hiss.wav", "hiss"))
    out, err = ask("predict", song)
    assert "sounds like  song " in out
    assert sum(line.startswith(f"warning: {NOVEL}: ") for line in err.splitlines()) == 1
    write_recording(tmp_path / "seen.wav", "organ", seconds=15, seed=0)
    assert "! 1 of 2 songs (hiss.wav) are unlike anything the model was trained on" in ask("predict", str(tmp_path))[1]
    told = json.loads(ask("predict", song, "--json")[0])["songs"][0]
    assert told["novelty"] > 1
    assert told["neighbors"][0]["name"].startswith("song ")


def test_a_server_can_be_told_to_tell_everybody(folder: Path, known: tuple[FittedStack, NoveltyScale]) -> None:
    rows = to_matrix(known[0].rows[:3].astype(np.float32))
    with running_server(folder, novelty=True) as running:
        answer = running.stub.Predict(pb.PredictRequest(model="songs", rows=rows))
        assert len(answer.novelty) == 3
        assert not answer.HasField("neighbors")
        assert not running.stub.Predict(pb.PredictRequest(model="plain", rows=rows)).novelty


def test_about_one_song_in_twenty_like_those_known_is_called_novel(known: tuple[FittedStack, NoveltyScale]) -> None:
    scale = known[1]
    assert scale.manifest.songs == 43
    assert scale.manifest.share_above <= 0.05
    rng = np.random.default_rng(1)
    rows, kinds = rng.normal(size=(900, 6)), np.arange(900) % 2
    rows += kinds[:, None] * 3
    found = novelty_scale(rows[:600], kinds[:600], np.arange(600) // 3, np.arange(600) // 3)
    assert found is not None
    means = found.measure(rows[600:]).reshape(-1, 3).mean(axis=1)
    assert (means > found.manifest.threshold).mean() <= 0.12
    assert found.measure(rows[600:] + 20).min() > found.manifest.threshold


def test_of_too_few_songs_nobody_knows_what_is_usual() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    few = np.arange(60) // 10
    assert novelty_scale(rows, few % 2, few, few) is None
    assert novelty_scale(np.ones((60, 3)), np.arange(60) % 2, np.arange(60), np.arange(60)) is None


def test_novelty_that_cannot_be_is_not_believed() -> None:
    assert read_novelty(pb.PredictResponse(), 2) is None
    for wrong in ([1.0], [1.0, -0.1], [1.0, float("nan")]):
        with pytest.raises(ProtocolError):
            read_novelty(pb.PredictResponse(novelty=wrong), 2)


def test_the_manifest_has_the_threshold(folder: Path) -> None:
    model = open_bundle(folder / "songs" / "1").model
    assert model.novelty.threshold > 0
    assert model.novelty.held_out == "track"
    assert not open_bundle(folder / "plain" / "1").model.HasField("novelty")
