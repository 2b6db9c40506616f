"""Made recordings of three kinds, and small stacks that tell them apart by their 57 features."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from genrestack_audio import FEATURE_NAMES, RATE, extract_windows
from support.samples.audio_signals import music
from support.samples.stacks import FittedStack

KINDS = ("band", "hiss", "organ")


def recording(kind: str, seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Chords with a beat, noise, or one held chord: float32, shape (n,)."""
    if kind == "band":
        return music(seconds, seed=seed, rate=rate)
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    noise = rng.normal(scale=0.1, size=time.size)
    if kind == "hiss":
        return np.asarray(noise * (1 + 0.3 * np.sin(2 * np.pi * time)), dtype=np.float32)
    chord = rng.uniform(200, 230) * np.array([1, 1.25, 1.5])
    return np.asarray(0.2 * np.sin(2 * np.pi * chord * time[:, None]).sum(axis=1) + 0.03 * noise, dtype=np.float32)


def write_recording(path: Path, *kinds: str, seconds: float = 6.0, seed: int = 100, rate: int = RATE) -> Path:
    """Write some seconds of each kind, one after the other, as 16-bit samples."""
    soundfile.write(path, np.concatenate([recording(kind, seconds, seed, rate) for kind in kinds]), rate)
    return path


@cache
def rows_of_kinds() -> tuple[np.ndarray, np.ndarray]:
    """Features of ten 3-second windows of each kind: float64, shape (30, 57), and their labels."""
    rows = [extract_windows(recording(kind, 15, seed), RATE) for kind in KINDS for seed in (0, 1)]
    return np.concatenate(rows), np.repeat(KINDS, 10)


def fit_songs(names: Sequence[str] = FEATURE_NAMES) -> FittedStack:
    """Fit a stack on these features of made recordings, shaken a little to make rows of windows."""
    windows, labels = rows_of_kinds()
    rng = np.random.default_rng(0)
    rows = np.repeat(windows[:, [FEATURE_NAMES.index(name) for name in names]], 8, axis=0)
    # One copy in eight stays as it is, so that these very recordings lie within the ranges.
    rows *= 1 + rng.normal(scale=0.05, size=rows.shape) * (np.arange(len(rows)) % 8 > 0)[:, None]
    words = np.repeat(labels, 8)
    held = np.arange(len(rows)) % 8 == 7
    scaler = MinMaxScaler().fit(rows[~held])
    stack = StackingClassifier(
        [
            ("knn", KNeighborsClassifier(n_neighbors=2, weights="distance", p=1)),
            ("svc", SVC(C=10, probability=True, random_state=0)),
        ],
        final_estimator=LogisticRegression(max_iter=2000),
        cv=3,
    ).fit(scaler.transform(rows[~held]), words[~held])
    classes = tuple(str(name) for name in stack.classes_)
    return FittedStack(stack, scaler, tuple(names), classes, rows[~held], rows[held], [str(w) for w in words[held]])
