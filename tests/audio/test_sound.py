"""Files: each kind is read, and each way to be broken has an outcome and says so."""

import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.samples.audio_signals import music
from support.tools import need

from genrestack_audio import RATE, AudioError, extract_windows, open_sound, read_segments, stream_segments

WriteSound = Callable[..., Path]


def heard(path: Path) -> np.ndarray:
    with open_sound(path) as sound:
        return np.concatenate(list(sound.blocks()))


def notes(path: Path) -> tuple[str, ...]:
    with open_sound(path) as sound:
        list(sound.blocks())
        return sound.notes


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
def test_exact_kinds_are_read_exactly(write_sound: WriteSound, name: str) -> None:
    path = write_sound(name)
    expected, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(heard(path), expected)
    segments = list(read_segments(path))
    assert [(segment.index, segment.start, segment.length) for segment in segments] == [(0, 0.0, 66_149)]
    np.testing.assert_array_equal(segments[0].features, extract_windows(expected, RATE)[0])


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_lossy_kinds_are_read(write_sound: WriteSound, name: str) -> None:
    path = write_sound(name, rate=44_100)
    with open_sound(path) as sound:
        assert (sound.rate, sound.channels) == (44_100, 1)
        samples = np.concatenate(list(sound.blocks()))
    assert len(samples) == pytest.approx(3.1 * RATE, abs=2)
    assert samples.std() == pytest.approx(music(3.1).std(), rel=0.1)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_blocks_are_resampled_as_the_whole(write_sound: WriteSound, rate: int) -> None:
    samples = music(4, rate=rate)
    path = write_sound("a.wav", np.stack([samples, -0.5 * samples], axis=1), rate, subtype="FLOAT")
    np.testing.assert_allclose(
        np.stack([segment.features for segment in read_segments(path)]),
        extract_windows(np.stack([samples, -0.5 * samples], axis=1), rate),
        rtol=2e-3,
        atol=1e-5,
    )
    assert any("no treble" in note for note in notes(path)) == (rate == 8_000)


def test_other_kinds_go_through_ffmpeg(write_sound: WriteSound, monkeypatch: pytest.MonkeyPatch) -> None:
    need(shutil.which("ffmpeg"), "ffmpeg")
    wav = write_sound("a.wav", np.stack([music(4), music(4)], axis=1))
    path = wav.with_name("-y odd name:.mka")
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, "-c:a", "pcm_s16le", f"file:{path}"], check=True)
    np.testing.assert_allclose(heard(path), heard(wav), atol=1e-7)
    with open_sound(path) as sound:
        next(sound.blocks())  # and no more: ffmpeg is ended with the block
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AudioError, match="install ffmpeg"), open_sound(path):
        pass


def test_a_cut_wav_is_used_as_far_as_it_goes(write_sound: WriteSound) -> None:
    path = write_sound("a.wav", music(8))
    path.write_bytes(path.read_bytes()[: 4 * RATE * 2])
    assert len(list(read_segments(path))) == 1
    assert "bytes that its header announces are missing" in notes(path)[0]


def test_a_cut_flac_is_used_as_far_as_it_goes(write_sound: WriteSound) -> None:
    path = write_sound("a.flac", music(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(list(read_segments(path))) in {2, 3}
    assert any("is used" in note for note in notes(path))


def test_a_cut_file_shorter_than_a_window_says_both(write_sound: WriteSound) -> None:
    path = write_sound("a.wav", music(8))
    path.write_bytes(path.read_bytes()[: RATE * 2])
    with pytest.raises(AudioError, match=r"a\.wav: lasts 1\.00 s, less than one window.*cut short"):
        list(read_segments(path))


def test_clipping_is_noted(write_sound: WriteSound) -> None:
    assert notes(write_sound("fine.wav")) == ()
    assert notes(write_sound("loud.wav", np.clip(8 * music(3.1), -1, 1)))[0].startswith("clipped: ")


def test_silence_is_refused(write_sound: WriteSound) -> None:
    path = write_sound("a.wav", np.zeros(70_000))
    with pytest.raises(AudioError, match="is silent from beginning to end"), open_sound(path) as sound:
        list(stream_segments(sound))


@pytest.mark.parametrize(
    ("content", "messages"),
    [(b"", "is empty"), (b"no music " * 500, "not audio"), (bytes(range(256)) * 99, "not audio")],
)
def test_what_is_no_audio(tmp_path: Path, content: bytes, messages: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"song\.mp3: .*{messages}"):
        list(read_segments(path))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder"):
        list(read_segments(tmp_path))
    with pytest.raises(AudioError, match="no such file"):
        list(read_segments(tmp_path / "none.wav"))


def test_samples_that_are_not_numbers(write_sound: WriteSound) -> None:
    samples = music(4)
    samples[50_000] = np.nan
    with pytest.raises(AudioError, match="not numbers"):
        heard(write_sound("a.wav", samples, subtype="FLOAT"))


def test_no_more_than_blocks_are_in_memory(write_sound: WriteSound) -> None:
    path = write_sound("long.wav", np.tile(music(10), 30), 44_100)
    with open_sound(path) as sound:
        blocks = sound.blocks()
        next(blocks)
        tracemalloc.start()
        read = sum(len(block) for block in blocks)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert read > 3_000_000
    assert most < 4_000_000
