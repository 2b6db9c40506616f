"""A small labelled table, a small run that everyone shares, and a listener that remembers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from export.conftest import fit, small

from genrestack_training import Run, Step, Table, load_table, train

# The stacks that tests of the command export are those of tests/export.
__all__ = ["fit", "small"]

# Small enough that three networks are trained in a few seconds.
TINY: dict[str, dict[str, Any]] = {"mlp": {"hidden": [8], "epochs": 3, "learning_rate": 0.01}, "stack": {"folds": 2}}
# The same without TensorFlow.
LIGHT: dict[str, dict[str, Any]] = {"stack": {"estimators": ["knn", "svc"], "folds": 2}}


@dataclass
class Remembered:
    """A `Progress` that keeps all it hears."""

    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def update(self, step: Step) -> None:
        self.steps.append(step)

    def note(self, line: str) -> None:
        self.notes.append(line)


def small_frame(rows: int = 90) -> pd.DataFrame:
    """Three classes that overlap a little, four features of very different sizes."""
    random = np.random.default_rng(7)
    kind = np.arange(rows) % 3
    features = random.normal(size=(rows, 4)) + kind[:, None] * np.array([1.5, -1.0, 0.5, 0.0])
    frame = pd.DataFrame(features * np.array([1.0, 100.0, 1e-3, 5.0]), columns=["alpha", "beta", "gamma", "tempo"])
    frame["label"] = np.array(["blues", "jazz", "röck & roll"])[kind]
    return frame


def windows_frame(tracks: int = 36, windows: int = 3, artists: int = 12, seed: int = 5) -> pd.DataFrame:
    """Three classes, a few windows of each recording, a few recordings of each artist; every artist has one class."""
    random = np.random.default_rng(seed)
    track = np.repeat(np.arange(tracks), windows)
    artist = track % artists
    kind = artist % 3
    features = random.normal(size=(len(track), 4)) + kind[:, None] * np.array([1.5, -1.0, 0.5, 0.0])
    features += random.normal(size=(tracks, 4))[track]
    frame = pd.DataFrame(features, columns=["alpha", "beta", "gamma", "tempo"])
    names = [f"song.{t:05d}.{w}.wav" for t, w in zip(track, np.tile(np.arange(windows), tracks), strict=True)]
    frame.insert(0, "filename", names)
    return frame.assign(artist=[f"artist {a}" for a in artist], label=np.array(["blues", "jazz", "rock"])[kind])


@pytest.fixture(scope="session")
def small_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "small.csv"
    small_frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def small_table(small_csv: Path) -> Table:
    return load_table(small_csv)


@pytest.fixture(scope="session")
def heard() -> Remembered:
    """What `tiny_run` reported while it was trained."""
    return Remembered()


@pytest.fixture(scope="session")
def tiny_run(small_table: Table, heard: Remembered, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train the whole notebook stack in small, and write it."""
    runs = tmp_path_factory.mktemp("runs")
    return train(small_table, overrides=TINY, runs_dir=runs, name="tiny", progress=heard)


@pytest.fixture(scope="session")
def windowed_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety windows of thirty recordings."""
    frame = small_frame()
    kinds = np.arange(90) // 3 % 3
    frame["label"] = np.array(["blues", "jazz", "röck & roll"])[kinds]
    frame["alpha"] += 1.5 * (kinds - np.arange(90) % 3)
    frame.insert(0, "filename", [f"song.{row // 3:03d}.{row % 3}.wav" for row in range(90)])
    path = tmp_path_factory.mktemp("windows") / "windows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def windowed_run(windowed_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """At random, and by recording beside it."""
    folder = tmp_path_factory.mktemp("runs") / "windowed"
    return train(load_table(windowed_csv), overrides=LIGHT, run_dir=folder, name="windowed")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a file and give its path; `.csv` unless named otherwise."""

    def writer(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


@pytest.fixture(scope="session")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Table:
    path = tmp_path_factory.mktemp("windows") / "windows.csv"
    windows_frame().to_csv(path, index=False)
    return load_table(path, artist_column="artist")


@pytest.fixture(scope="session")
def compared(windows: Table, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(windows, overrides=LIGHT, folds=3, compare=["random", "track"], run_dir=folder)
