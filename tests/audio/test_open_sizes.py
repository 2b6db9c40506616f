"""Recordings whose header cannot say how long they are, as writers to a pipe and stopped recorders leave them."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.samples.audio_signals import music
from support.tools import need

from genrestack_audio import RATE, AudioError, open_sound

WriteSound = Callable[..., Path]
STEREO = np.stack([music(4.3, rate=44_100), music(4.3, seed=1, rate=44_100)], axis=1)
CONTAINERS = {"wav": "WAV", "wavex": "WAVEX", "rf64": "RF64", "aiff": "AIFF", "au": "AU"}
CODECS = ("PCM_16", "PCM_24", "FLOAT", "MS_ADPCM", "ULAW")


def heard(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    with open_sound(path) as sound:
        return np.concatenate(list(sound.blocks())), sound.notes


def patched(path: Path, changes: dict[int, bytes]) -> Path:
    content = bytearray(path.read_bytes())
    for place, value in changes.items():
        content[place : place + len(value)] = value
    other = path.with_name(f"open-{path.name}")
    other.write_bytes(content)
    return other


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("container", list(CONTAINERS))
def test_a_size_that_was_never_filled_in(write_sound: WriteSound, container: str, codec: str, size: int) -> None:
    if not soundfile.check_format(CONTAINERS[container], codec):
        return
    path = write_sound(f"a.{container}", STEREO, 44_100, format=CONTAINERS[container], subtype=codec)
    content = path.read_bytes()
    if container == "au":
        changes = {8: struct.pack(">I", size)}
    elif container == "aiff":
        count = content.index(b"COMM") + 10
        changes = {content.index(b"SSND") + 4: struct.pack(">I", max(size, 8)), count: bytes(4), 4: bytes(4)}
    else:
        changes = {content.index(b"data") + 4: struct.pack("<I", size), 4: struct.pack("<I", size)}
    if container == "rf64":
        changes |= {content.index(b"ds64") + 8: bytes(24)}
    samples, notes = heard(patched(path, changes))
    np.testing.assert_array_equal(samples, heard(path)[0])
    assert notes == ()


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_both_byte_orders(write_sound: WriteSound, endian: str) -> None:
    path = write_sound("a.wav", endian=endian)
    data = path.read_bytes().index(b"data")
    np.testing.assert_array_equal(heard(patched(path, {data + 4: bytes(4)}))[0], heard(path)[0])


@pytest.mark.parametrize(
    "behind", [b"", b"LIST\x04\x00\x00\x00INFO", b"LIST\x04\x00\x00\x00INFOid3 \x02\x00\x00\x00ab"]
)
def test_an_empty_recording_stays_empty(write_sound: WriteSound, behind: bytes) -> None:
    path = write_sound("a.wav", np.empty(0))
    path.write_bytes(path.read_bytes() + behind)
    with pytest.raises(AudioError, match=r"a\.wav: holds no samples"):
        heard(path)


@pytest.mark.parametrize("seconds", [0.2, 3.0, 9.7])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_without_a_sample_count(write_sound: WriteSound, seconds: float, channels: int) -> None:
    samples = np.stack([music(seconds, seed=seed) for seed in range(channels)], axis=1)
    path = write_sound("a.flac", samples)
    # The count is the last 36 bits before the checksum of STREAMINFO.
    first = path.read_bytes()[21] & 0xF0
    counted = patched(path, {21: bytes([first, 0, 0, 0, 0])})
    whole, notes = heard(counted)
    np.testing.assert_array_equal(whole, heard(path)[0])
    assert (len(whole), notes) == (round(seconds * RATE), ())
    with open_sound(counted) as sound:
        assert sound.seconds is None


def test_a_cut_flac_without_a_sample_count_says_so(write_sound: WriteSound) -> None:
    path = write_sound("a.flac", music(20))
    path = patched(path, {21: bytes([path.read_bytes()[21] & 0xF0, 0, 0, 0, 0])})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, notes = heard(path)
    assert 8 * RATE < len(samples) < 12 * RATE
    assert "is used" in notes[0]


@pytest.mark.parametrize("form", ["wav", "flac", "au", "aiff", "w64", "ogg", "mp3"])
def test_what_ffmpeg_writes_to_a_pipe(write_sound: WriteSound, form: str) -> None:
    need(shutil.which("ffmpeg"), "ffmpeg")
    path = write_sound("a.wav", STEREO, 44_100)
    said = ["ffmpeg", "-v", "error", "-i", str(path), "-f", form, "pipe:1"]
    piped = path.with_name(f"piped.{form}")
    piped.write_bytes(subprocess.run(said, check=True, capture_output=True).stdout)
    samples, notes = heard(piped)
    assert len(samples) == pytest.approx(4.3 * RATE, abs=0.1 * RATE)
    assert notes == ()


def test_channels_that_cancel_each_other_out(write_sound: WriteSound) -> None:
    left = music(4)
    inverse = write_sound("inverse.wav", np.stack([left, -left], axis=1))
    with pytest.raises(AudioError, match=r"inverse\.wav: has channels that cancel each other out.*invert one channel"):
        heard(inverse)
    nearly = write_sound("nearly.wav", np.stack([left, -0.99 * left], axis=1), subtype="FLOAT")
    assert "nearly cancel each other out" in heard(nearly)[1][0]
    one_of_six = np.zeros((len(left), 6))
    one_of_six[:, 2] = left
    for samples in (one_of_six, np.stack([left, music(4, seed=1)], axis=1), left):
        assert heard(write_sound("fine.wav", samples))[1] == ()
