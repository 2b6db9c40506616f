"""Features: against the published tables, and against plain librosa calls on made signals."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.samples.audio_signals import SIGNALS, music

from genrestack_audio import FEATURE_NAMES, RATE, AudioError, Windows, extract, extract_windows, named
from genrestack_audio.features.reference import extract_with_librosa

TOLERANCE = 1e-3


def published(path: Path) -> dict[str, np.ndarray]:
    """Read a published table: file name → 57 features."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = csv.DictReader(content.decode().splitlines())
    return {row["filename"]: np.array([float(row[name]) for name in FEATURE_NAMES]) for row in rows}


def assert_agree(found: np.ndarray, expected: np.ndarray, ranges: np.ndarray) -> None:
    """Check each value: within 0.1 % of itself, or of its column's range where it is near zero."""
    error = np.abs(found - expected)
    near_zero = np.abs(expected) < 0.01 * ranges
    allowed = TOLERANCE * np.where(near_zero, ranges, np.abs(expected))
    wrong = [(FEATURE_NAMES[column], error[row, column]) for row, column in np.argwhere(error > allowed)]
    assert not wrong


def test_names_are_the_published_ones(shared_data: Path) -> None:
    with (shared_data / "features_30_sec.csv").open() as file:
        header = next(csv.reader(file))
    assert header == ["filename", "length", *FEATURE_NAMES, "label"]
    assert len(FEATURE_NAMES) == 57


def test_three_second_rows_are_the_published_ones(shared_data: Path) -> None:
    table = published(shared_data / "features_3_sec.csv.gz")
    ranges = np.ptp(list(table.values()), axis=0)
    for path in sorted((shared_data / "audio").glob("*.wav")):
        rows = extract_windows(*soundfile.read(path, dtype="float32"))
        expected = [table[f"{path.stem}.{segment}.wav"] for segment in range(10)]
        assert_agree(rows, np.stack(expected), ranges)


def test_thirty_second_rows_are_the_published_ones(shared_data: Path) -> None:
    table = published(shared_data / "features_30_sec.csv")
    ranges = np.ptp(list(table.values()), axis=0)
    for path in sorted((shared_data / "audio").glob("*.wav")):
        row = extract(*soundfile.read(path, dtype="float32"))
        assert_agree(row[None], table[path.name][None], ranges)


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning:librosa")
@pytest.mark.parametrize("name", SIGNALS)
def test_equal_to_plain_librosa(name: str) -> None:
    samples = SIGNALS[name]
    found, expected = extract(samples, RATE), extract_with_librosa(samples)
    # Sums in single precision, there, of signals whose mean is almost zero: their noise is a share of the signal.
    noise = 1e-6 * np.abs(samples).max()
    signals = np.isin(FEATURE_NAMES, ["harmony_mean", "perceptr_mean"])
    np.testing.assert_allclose(found[signals], expected[signals], rtol=1e-4, atol=noise)
    np.testing.assert_allclose(found[~signals], expected[~signals], rtol=1e-4, atol=1e-5 if name != "quiet" else 1e-9)


def test_silence_has_features_without_a_warning() -> None:
    features = named(extract(np.zeros(66_149, dtype=np.float32), RATE))
    assert np.isfinite(list(features.values())).all()
    assert features["tempo"] == 0
    assert features["rms_mean"] == 0
    assert features["mfcc1_mean"] == pytest.approx(-100 * np.sqrt(128))


def test_windows_are_cut_as_published() -> None:
    samples = music(7)
    rows = extract_windows(samples, RATE)
    assert rows.shape == (2, 57)
    np.testing.assert_array_equal(rows[1], extract(samples[66_150 : 66_150 + 66_149], RATE))
    overlapping = extract_windows(samples, RATE, Windows(2, hop=0.5))
    assert overlapping.shape == (11, 57)
    np.testing.assert_array_equal(overlapping[3], extract(samples[33_075:][: 2 * RATE - 1], RATE))
    assert extract_windows(samples, RATE, Windows(1, hop=2.5)).shape == (3, 57)


def test_channels_rates_and_whole_numbers() -> None:
    mono = music(3, seed=8)
    expected = extract(mono, RATE)
    stereo = np.stack([mono * 1.5, mono * 0.5], axis=1)
    np.testing.assert_allclose(extract(stereo, RATE), expected, rtol=1e-4, atol=1e-6)
    whole = np.round(mono * 32_768).astype(np.int16)
    np.testing.assert_array_equal(extract(whole, RATE), extract((whole / 32_768).astype(np.float32), RATE))
    # The same sound at another rate: what is below both Nyquist frequencies is heard alike.
    tone = {rate: np.sin(2 * np.pi * 440 * np.arange(3 * rate) / rate) for rate in (RATE, 44_100, 48_000)}
    first = named(extract(tone[RATE], RATE))
    for rate in (44_100, 48_000):
        other = named(extract(tone[rate], rate))
        assert other["rms_mean"] == pytest.approx(first["rms_mean"], rel=1e-3)
        assert other["chroma_stft_mean"] == pytest.approx(first["chroma_stft_mean"], rel=0.02)


@pytest.mark.parametrize(
    ("samples", "rate", "messages"),
    [
        (np.zeros(2047), RATE, "at least 2,048"),
        (np.zeros((2, 66_149)), RATE, r"give \(samples,\) or \(samples, channels\)"),
        (np.zeros((66_149, 0)), RATE, "no channel"),
        (np.full(4096, np.nan), RATE, "not numbers"),
        (np.full(4096, 32_000.0), RATE, "scale it"),
        (np.zeros(4096, dtype=np.uint8), RATE, "int16 or int32"),
        (np.zeros(4096), 0, "sample rate of 0 Hz"),
        (np.zeros(4096), float("nan"), "sample rate"),
    ],
)
def test_what_is_no_sound(samples: np.ndarray, rate: float, messages: str) -> None:
    with pytest.raises(AudioError, match=messages):
        extract(samples, rate)


def test_shorter_than_a_window() -> None:
    with pytest.raises(AudioError, match=r"lasts 2.00 s, less than one window of 3 s"):
        extract_windows(music(2), RATE)


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": 1e9}, {"hop": 0}, {"hop": -1}]
)
def test_windows_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(AudioError, match="cannot be used; choose"):
        Windows(**wrong)
