"""What `genrestack predict` prints about songs for programs: JSON and CSV."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from genrestack._core.model_answers import check_parts
from genrestack.cli.neighbors import neighbor_cells, neighbor_columns
from genrestack.cli.terminal import cell, json_text
from genrestack.model_info import ModelInfo
from genrestack.songs.song_prediction import SongPrediction


class SongJsonWriter:
    """One object: model, version, classes, songs with their windows, and those that were left out."""

    streams = True

    def __init__(self, info: ModelInfo, *, base: bool) -> None:
        head = json_text({"model": info.name, "version": info.version, "classes": list(info.classes)})
        click.echo(head[:-1] + ', "songs": [', nl=False)
        self._base = base
        self._failed: list[dict[str, str]] = []
        self._separator = "\n"

    def write(self, song: SongPrediction) -> None:
        """Print one line."""
        click.echo(self._separator + json_text(_fields(song, base=self._base)), nl=False)
        self._separator = ",\n"

    def fail(self, path: Path, message: str) -> None:
        """Keep it for the end."""
        self._failed.append({"file": str(path), "error": message})

    def close(self) -> None:
        """Complete the object."""
        click.echo(f'\n], "failed": {json_text(self._failed)}}}')


class SongCsvWriter:
    """`file, seconds, windows, predicted, probability`, a column a class, the same a part, neighbours, `warnings`."""

    streams = True

    def __init__(self, info: ModelInfo, parts: Sequence[str], neighbors: int = 0) -> None:
        self._parts = parts
        self._neighbors = neighbors
        self._out = csv.writer(sys.stdout, lineterminator="\n")
        wide = [f"{part}.{name}" for part in parts for name in info.classes]
        fixed = ["file", "seconds", "windows", "predicted", "probability"]
        near = neighbor_columns(neighbors)
        self._out.writerow(map(cell, [*fixed, *(f"p.{name}" for name in info.classes), *wide, *near, "warnings"]))

    def write(self, song: SongPrediction) -> None:
        """Print one line.

        Raises:
            ProtocolError: other base estimators answered than those in the heading.

        """
        if self._parts:
            check_parts(self._parts, song.windows)
        likeliest = _digits(song.probabilities.max())
        fixed = [cell(song.path), round(song.duration, 3), len(song), cell(song.label), likeliest]
        wide = [_digits(value) for part in ("", *self._parts) for value in _mean(song, part)]
        near = neighbor_cells(song.neighbors, self._neighbors)
        self._out.writerow([*fixed, *wide, *near, cell(" | ".join(song.warnings))])
        sys.stdout.flush()

    def fail(self, path: Path, message: str) -> None:
        """Leave it out: what is wrong with it has been said."""

    def close(self) -> None:
        """Nothing is left to print."""


def _fields(song: SongPrediction, *, base: bool) -> dict[str, Any]:
    return {
        "file": song.path,
        "predicted": song.label,
        "probabilities": _by_class(song, song.probabilities),
        "base": {name: _by_class(song, mean) for name, mean in song.base.items()},
        "seconds": round(song.duration, 3),
        "window": song.window,
        "hop": song.hop,
        "windows": [_window(song, number, base=base) for number in range(len(song))],
        **({"neighbors": [asdict(near) for near in song.neighbors]} if song.neighbors else {}),
        **({} if song.novelty is None else {"novelty": song.novelty}),
        "outside": [asdict(feature) for feature in song.outside],
        "warnings": list(song.warnings),
    }


def _window(song: SongPrediction, number: int, *, base: bool) -> dict[str, Any]:
    known: dict[str, Any] = {
        "start": round(float(song.starts[number]), 6),
        "predicted": song.windows.labels[number],
        "probabilities": _by_class(song, song.windows.probabilities[number]),
    }
    if song.windows.neighbors:
        known["neighbors"] = [asdict(near) for near in song.windows.neighbors[number]]
    if base:
        known["base"] = {name: _by_class(song, matrix[number]) for name, matrix in song.windows.base.items()}
    return known


def _by_class(song: SongPrediction, row: npt.NDArray[np.float32]) -> dict[str, float]:
    return {name: _digits(value) for name, value in zip(song.classes, row, strict=True)}


def _mean(song: SongPrediction, part: str) -> npt.NDArray[np.float32]:
    return song.base[part] if part else song.probabilities


def _digits(value: np.float32) -> float:
    # Nine digits give back every float32 exactly.
    return float(f"{value:.9g}")
