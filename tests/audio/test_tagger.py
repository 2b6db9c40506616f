"""The tagger as features: its ear against librosa, its network against Keras, the command as a person calls it."""

import csv
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from click.testing import CliRunner, Result
from support.samples.audio_signals import music
from support.samples.made_tagger import variables, write_tagger

from genrestack_audio import FEATURE_NAMES, TAG_NAMES, AudioError, read_segments, window_features
from genrestack_audio.cli import features
from genrestack_audio.tagger.__main__ import main as conversion
from genrestack_audio.tagger.convert import find_checkpoint
from genrestack_audio.tagger.mel import log_mel, patches
from genrestack_audio.tagger.recipe import FRAMES, MELS
from genrestack_audio.tagger.tagger import HOW_TO, find_tagger, open_tagger
from genrestack_training import load_table

WriteSound = Callable[..., Path]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(features, [str(argument) for argument in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger that was drawn."""
    return write_tagger(tmp_path_factory.mktemp("tagger") / "drawn.onnx")


def test_it_hears_what_librosa_hears() -> None:
    samples = music(3, rate=16_000)
    power = librosa.feature.melspectrogram(
        y=samples, sr=16_000, n_fft=512, hop_length=256, n_mels=96, pad_mode="reflect"
    )
    np.testing.assert_allclose(log_mel(samples), np.log10(1 + 10_000 * power.T), atol=2e-5)


def test_a_window_is_one_patch_and_a_longer_one_several() -> None:
    assert patches(music(3)[:-1]).shape == (1, FRAMES, MELS)
    assert patches(music(10)).shape == (3, FRAMES, MELS)
    with pytest.raises(AudioError, match=r"lasts 2\.90 s; the tagger hears 2\.98 s at once"):
        patches(music(2.9))


def keras_answers(values: dict[str, np.ndarray], batch: np.ndarray) -> np.ndarray:
    """The network, written down in Keras' layers."""
    from keras import Model, layers, ops

    count: dict[str, int] = {}

    def layer(kind: str, made: Any, inputs: Any) -> Any:
        place = count.get(kind, 0)
        count[kind] = place + 1
        name = f"{kind}_{place}" if place else kind
        outputs = made(inputs)
        of = ("gamma", "beta", "moving_mean", "moving_variance") if kind.startswith("batch") else ("kernel", "bias")
        made.set_weights([values[f"{name}/{part}"] for part in of])
        return outputs

    def normalized(inputs: Any) -> Any:
        return layer("batch_normalization", layers.BatchNormalization(epsilon=1e-3), inputs)

    def convolved(inputs: Any, channels: int, size: tuple[int, int], padding: str = "valid") -> Any:
        made = layers.Conv2D(channels, size, padding=padding, activation="relu")
        return normalized(layer("conv2d", made, inputs))

    def over_bands(inputs: Any) -> Any:
        return ops.max(inputs, axis=2)

    def padded(inputs: Any) -> Any:
        return layers.ZeroPadding2D(((3, 3), (0, 0)))(inputs)

    patch = layers.Input((FRAMES, MELS))
    heard = normalized(ops.expand_dims(patch, 3))
    branches = [over_bands(convolved(padded(heard), 204, (7, width))) for width in (38, 67)]
    branches += [over_bands(convolved(heard, 51, (length, 1), "same")) for length in (128, 64, 32)]
    front = ops.expand_dims(ops.concatenate(branches, axis=2), 3)
    first = ops.transpose(convolved(padded(front), 64, (7, 561)), (0, 1, 3, 2))
    second = first + ops.transpose(convolved(padded(first), 64, (7, 64)), (0, 1, 3, 2))
    third = second + ops.transpose(convolved(padded(second), 64, (7, 64)), (0, 1, 3, 2))
    told = ops.concatenate([front, first, second, third], axis=2)
    pooled = ops.concatenate([ops.max(told, axis=1), ops.mean(told, axis=1)], axis=2)
    hidden = layer("dense", layers.Dense(200, activation="relu"), normalized(layers.Flatten()(pooled)))
    answer = layer("dense", layers.Dense(50, activation="sigmoid"), normalized(hidden))
    return np.asarray(Model(patch, answer).predict_on_batch(batch))


def test_the_network_is_that_of_keras(tagger: Path) -> None:
    import onnxruntime

    batch = np.random.default_rng(1).uniform(0, 4, size=(2, FRAMES, MELS)).astype(np.float32)
    (answers,) = onnxruntime.InferenceSession(tagger).run(None, {"mel": batch})
    assert np.ptp(answers) > 0.5
    np.testing.assert_allclose(answers, keras_answers(variables(), batch), atol=2e-5)


def test_tags_of_recordings(tagger: Path, write_sound: WriteSound, tmp_path: Path) -> None:
    genres = write_sound("genres/rock/b.wav", music(6.5, seed=1)).parent.parent
    write_sound("genres/jazz/a.wav", music(3.5, seed=2))
    sha256 = hashlib.sha256(tagger.read_bytes()).hexdigest()
    for kind in ("spectral", "tags", "spectral+tags"):
        which = () if kind == "spectral" else ("--tagger", tagger)
        result = call(genres, "-o", tmp_path / f"{kind}.csv", "--kind", kind, "--jobs", 1, *which)
        assert result.exit_code == 0, result.output
    spectral, tags, both = (rows_of(tmp_path / f"{kind}.csv") for kind in ("spectral", "tags", "spectral+tags"))
    assert list(tags[0]) == ["filename", "length", "extractor", *TAG_NAMES, "label"]
    assert [row["extractor"] for row in both] == [f"spectral+tags {sha256}"] * 3
    assert list(both[0]) == ["filename", "length", "extractor", *FEATURE_NAMES, *TAG_NAMES, "label"]
    assert [{**s, **t, "extractor": b["extractor"]} for s, t, b in zip(spectral, tags, both, strict=True)] == both
    expected = open_tagger(tagger, sha256).tags(music(6.5, seed=1)[:66_149])
    # The file holds 16 bits a sample.
    np.testing.assert_allclose([float(tags[1][name]) for name in TAG_NAMES], expected, atol=5e-3)
    segments = list(read_segments(genres / "rock" / "b.wav", compute=window_features("tags", tagger)))
    written = [[float(row[name]) for name in TAG_NAMES] for row in tags[1:]]
    # How many threads multiply matrices shows in the last digits.
    np.testing.assert_allclose([segment.features for segment in segments], written, atol=1e-5)
    table = load_table(tmp_path / "tags.csv")
    assert table.feature_names == TAG_NAMES
    assert str(table.extractor) == f"tags {sha256}"


def test_a_stopped_build_does_not_go_on_with_another_tagger(
    tagger: Path, write_sound: WriteSound, tmp_path: Path
) -> None:
    song = write_sound("a.wav")
    options = ("-o", tmp_path / "t.csv", "--no-labels", "--kind", "tags", "--jobs", 1, "--tagger")
    assert call(song, *options, tagger).exit_code == 0
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").unlink()
    digest = text.split("tags ")[1][:64]
    part = f'{{"form": 1, "columns": 50, "extractor": "tags {"0" * 64}", "window": 66149, "hop": 66150, "rate": 22050}}'
    (tmp_path / "t.csv.part").write_text(part + "\n")
    result = call(song, *options, tagger)
    assert result.exit_code == 1
    assert f"computed with other settings (extractor tags {'0' * 64}" in result.output
    (tmp_path / "t.csv.part").write_text(part.replace("0" * 64, digest) + "\n")
    assert call(song, *options, tagger).exit_code == 0
    assert (tmp_path / "t.csv").read_text() == text


def test_what_stands_in_the_way_is_told(
    tagger: Path, write_sound: WriteSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("GENRESTACK_TAGGER", raising=False)
    song = write_sound("a.wav")

    def told(*options: object) -> str:
        result = call(song, "-o", tmp_path / "t.csv", "--no-labels", "--kind", "tags", *options)
        assert result.exit_code == 1
        return result.output

    needless = call(song, "-o", tmp_path / "t.csv", "--tagger", tagger)
    assert needless.exit_code == 2
    assert "--tagger is for tags" in needless.output
    place = tmp_path / "genrestack" / "tagger" / "musicnn.onnx"
    assert f"{place}: the tagger is not there; make it with {HOW_TO}" in told()
    os.mkfifo(pipe := tmp_path / "pipe.onnx")
    assert "is a pipe" in told("--tagger", pipe)
    (broken := tmp_path / "broken.onnx").write_bytes(tagger.read_bytes()[:-1000])
    assert f"{broken}: is not the tagger; make it with" in told("--tagger", broken)
    assert "a window of 2 s is too short for tags" in told("--tagger", tagger, "--window", 2)
    path, sha256 = find_tagger(write_tagger(tmp_path / "one.onnx"))
    write_tagger(path, seed=1)
    open_tagger.cache_clear()
    with pytest.raises(AudioError, match="has changed meanwhile"):
        open_tagger(path, sha256)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("genrestack_audio.tagger.tagger.find_spec", lambda name: None)
    assert 'tags need: pip install "genrestack[tags]"' in told("--tagger", tagger)


def test_without_the_package_the_line_to_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(AudioError, match=r"pip install --no-deps musicnn==0\.1\.0"):
        find_checkpoint()
    result = CliRunner().invoke(conversion, ["-o", str(tmp_path / "t.onnx")])
    assert result.exit_code == 1
    assert "musicnn is not installed; it holds the tagger: pip install --no-deps musicnn==0.1.0" in result.output
    assert not (tmp_path / "t.onnx").exists()
