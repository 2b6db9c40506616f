"""`classify_song`: recordings in, genres out, over a real port."""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from client.conftest import SUBSET
from support.samples.songs import KINDS, recording, write_recording

from genrestack import Client, InvalidInput, ModelInfo, Prediction, ProtocolError, SongPrediction
from genrestack.model_info import FeatureInfo
from genrestack.songs.aggregate import Cut, RangeCheck, song_prediction
from genrestack.songs.recording import check_installed, find_songs, open_song
from genrestack_audio import FEATURE_NAMES, RATE, Windows, extract_windows


@pytest.fixture
def client(song_server: str) -> Iterator[Client]:
    with Client(song_server, timeout=60) as client:
        yield client


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Six seconds of each kind."""
    return write_recording(tmp_path / "song.wav", *KINDS)


def samples_of(*kinds: str) -> np.ndarray:
    """What `write_recording` writes, as it is read back from 16 bits."""
    whole = np.concatenate([recording(kind, 6, 100) for kind in kinds])
    return np.asarray(np.round(whole * 2**15) / 2**15, dtype=np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_song_is_of_its_kind(client: Client, tmp_path: Path, kind: str) -> None:
    new = client.classify_song(write_recording(tmp_path / "new.flac", kind), model="songs")
    assert new.label == kind
    assert new.windows.labels == [kind, kind]
    # Of this one, the model was trained on the same windows.
    known = client.classify_song(write_recording(tmp_path / "known.wav", kind, seconds=15, seed=0), model="songs")
    assert known.windows.labels == [kind] * 5
    assert (known.outside, known.warnings) == ((), ())


def test_probabilities_are_the_mean_over_the_windows(client: Client, song: Path) -> None:
    answer = client.classify_song(str(song), model="songs", base=True)
    rows = extract_windows(samples_of(*KINDS), RATE)
    expected = client.predict(rows, model="songs", base=True)
    np.testing.assert_allclose(answer.windows.probabilities, expected.probabilities, atol=1e-3)
    assert answer.windows.labels == [kind for kind in KINDS for _ in range(2)]
    np.testing.assert_allclose(answer.probabilities, answer.windows.probabilities.mean(axis=0), atol=1e-7)
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert list(answer.base) == ["knn", "svc"]
    for name, mean in answer.base.items():
        np.testing.assert_allclose(mean, expected.base[name].mean(axis=0), atol=1e-3)
    assert answer.starts.tolist() == [0, 3, 6, 9, 12, 15]
    assert (answer.path, answer.window, answer.hop, answer.duration) == (str(song), 3.0, 3.0, 18.0)
    assert (answer.model, answer.version, answer.classes, len(answer)) == ("songs", 1, KINDS, 6)
    assert answer.top(1) == [(answer.label, float(answer.probabilities.max()))]
    assert repr(answer).startswith(f"<SongPrediction of songs/1 for {song}: {answer.label} 0.")


def test_windows_may_overlap(client: Client, song: Path) -> None:
    answer = client.classify_song(song, model="songs", window=2, hop=1.5)
    np.testing.assert_allclose(answer.starts, np.arange(0, 16.5, 1.5))
    assert (answer.window, answer.hop) == (2, 1.5)
    expected = client.predict(extract_windows(samples_of(*KINDS), RATE, Windows(2, 1.5)), model="songs")
    np.testing.assert_allclose(answer.windows.probabilities, expected.probabilities, atol=1e-3)


def test_a_model_of_some_of_the_features_in_its_own_order(client: Client, song: Path) -> None:
    answer = client.classify_song(song, model="few")
    columns = [FEATURE_NAMES.index(name) for name in SUBSET]
    expected = client.predict(extract_windows(samples_of(*KINDS), RATE)[:, columns], model="few")
    np.testing.assert_allclose(answer.windows.probabilities, expected.probabilities, atol=1e-3)


def test_answers_come_while_the_song_is_still_being_read(client: Client, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "long.wav", "hiss", seconds=30)
    info = client.model("few")
    with open_song(path, info, window=0.1) as song:
        answers = client.predict_stream(song.batches(), model="few", in_flight=4)
        with closing(answers):
            assert len(next(answers)) == 10
            # Four batches under way, of ten windows each.
            assert 1 <= song.reached <= 5 < 30 == song.seconds


def test_another_kind_of_audio_is_told(client: Client, tmp_path: Path) -> None:
    whistle = np.sin(2 * np.pi * 9000 * np.arange(6 * RATE) / RATE).astype(np.float32)
    soundfile.write(tmp_path / "whistle.wav", 0.5 * whistle, RATE)
    answer = client.classify_song(tmp_path / "whistle.wav", model="songs")
    (warning,) = answer.warnings
    assert warning.startswith("2 of 2 windows have features outside the ranges the model was trained on: ")
    assert "wrong sample rate or another kind of audio" in warning
    assert answer.outside[0].name in warning
    centroid = next(feature for feature in answer.outside if feature.name == "spectral_centroid_mean")
    assert centroid.share == 1
    assert centroid.value == pytest.approx(9000, rel=0.05)
    assert centroid.value > centroid.seen_max > centroid.seen_min


def test_what_is_known_of_the_recording_is_told(client: Client, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "phone.wav", "band", rate=8000)
    assert "recorded at 8,000 Hz" in client.classify_song(path, model="songs").warnings[0]
    whole = write_recording(tmp_path / "whole.wav", "band").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) * 2 // 3])
    answer = client.classify_song(tmp_path / "cut.wav", model="songs")
    assert answer.duration == pytest.approx(3, abs=0.01)
    assert "cut short" in answer.warnings[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp3", b"", "is empty"),
        ("text.wav", b"not a sound at all", "damaged"),
        ("gone.wav", None, "there is no such file"),
        (".", None, "is a folder"),
    ],
)
def test_what_is_no_recording(client: Client, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        client.classify_song(path, model="songs")
    assert str(path) in str(caught.value)
    assert [violation.field for violation in caught.value.violations] == ["path"]


def test_too_short_silent_or_oddly_cut(client: Client, tmp_path: Path) -> None:
    short = write_recording(tmp_path / "short.wav", "band", seconds=1)
    with pytest.raises(InvalidInput, match=r"short\.wav: lasts 1\.00 s, less than one window"):
        client.classify_song(short, model="songs")
    assert client.classify_song(short, model="songs", window=1).starts.tolist() == [0]
    soundfile.write(tmp_path / "silent.wav", np.zeros(4 * RATE), RATE)
    with pytest.raises(InvalidInput, match="is silent"):
        client.classify_song(tmp_path / "silent.wav", model="songs")
    for field, window, hop in (("window", 0.0, None), ("hop", 3.0, -1.0)):
        with pytest.raises(InvalidInput, match=field) as caught:
            client.classify_song(short, model="songs", window=window, hop=hop)
        assert caught.value.violations[0].field == field


def test_a_model_of_something_else_is_named(client: Client, song: Path) -> None:
    with pytest.raises(InvalidInput, match="3 of its 4 features") as caught:
        client.classify_song(song, model="tiny")
    assert "'chroma', 'rms', 'zero_crossing'" in str(caught.value)
    assert "genrestack features" in str(caught.value)
    assert caught.value.violations[0].field == "model"


def test_missing_libraries_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "genrestack\[audio\]"') as caught:
        check_installed()
    assert caught.value.name == "soundfile"


def test_songs_of_a_folder_are_found_by_name(tmp_path: Path) -> None:
    for name in ("b.mp3", "a/c.WAV", ".hidden/d.wav", "e.txt", ".f.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_songs(tmp_path) == [tmp_path / "a/c.WAV", tmp_path / "b.mp3"]
    assert find_songs(tmp_path / "e.txt") == [tmp_path / "e.txt"]


def made_info(client: Client, *ranges: tuple[float | None, float | None]) -> ModelInfo:
    features = tuple(FeatureInfo(f"f{number}", *pair) for number, pair in enumerate(ranges))
    return replace(client.model("few"), features=features)


def test_ranges_count_windows_and_name_the_worst_first(client: Client) -> None:
    check = RangeCheck(made_info(client, (0, 10), (0, 1), (5, 5), (None, None)))
    check.watch(np.array([[5, 0.5, 5, 1e9], [-20, 1.5, 5, -1e9]]))
    check.watch(np.array([[40, 0.5, 5, 0], [10.05, 1.005, 5.01, 0]]))
    assert [(f.name, f.share, f.value) for f in check.outside()] == [("f0", 0.5, 40), ("f1", 0.25, 1.5)]
    (warning,) = check.warnings()
    assert warning.startswith("2 of 4 windows")
    assert "f0 40 (seen 0 to 10), f1 1.5 (seen 0 to 1)" in warning


def test_a_single_window_in_many_is_no_warning(client: Client) -> None:
    check = RangeCheck(made_info(client, (0, 1)))
    check.watch(np.full((30, 1), 0.5))
    check.watch(np.array([[2.0]]))
    assert [f.name for f in check.outside()] == ["f0"]
    assert check.warnings() == ()
    assert RangeCheck(made_info(client, (0, 1))).warnings() == ()


def put_together(client: Client, *answers: Prediction, windows: int = 2) -> SongPrediction:
    cut = Cut([float(number) for number in range(windows)], 1, 1, windows)
    return song_prediction("song", answers, cut, RangeCheck(made_info(client)))


def test_answers_that_do_not_fit_together(client: Client) -> None:
    def answer(version: int, **options: Any) -> Prediction:
        return Prediction(["a"], np.array([[0.5, 0.5]], dtype=np.float32), ("a", "b"), "m", version, **options)

    assert put_together(client, answer(1), answer(1)).label == "a"
    with pytest.raises(ProtocolError, match="two models"):
        put_together(client, answer(1), answer(2))
    with pytest.raises(ProtocolError, match="2 windows were sent, but 1"):
        put_together(client, answer(1))
