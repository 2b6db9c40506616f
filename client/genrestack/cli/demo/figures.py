"""What the demo measures on its server, for its closing table."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack import Client, ModelInfo, SongPrediction
from genrestack.cli.tables.columns import TableBatch, batches, match_columns
from genrestack.cli.tables.table import open_table

BATCH_ROWS: Final = 256
_MEASURED_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Unheard:
    """How well songs were recognised of which the training had no window at all."""

    songs: int
    rows: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of the rows whose label was right."""
        return self.right / self.rows


@dataclass(frozen=True)
class DemoResult:
    """Everything the closing table says of the model as it was served."""

    info: ModelInfo
    unheard: Unheard
    song: SongPrediction
    speed: float
    """Rows/s."""


def take_figures(address: str, model: str, songs: Path, unseen: Path, song: Path) -> DemoResult:
    """Ask the server at `address` about the two tables and the song."""
    with Client(address, timeout=60) as client:
        info = client.model(model)
        return DemoResult(
            info=info,
            unheard=count_right(client, unseen, info),
            song=client.classify_song(song, model=info.name, version=info.version),
            speed=measure(client, songs, info),
        )


def count_right(client: Client, path: Path, info: ModelInfo) -> Unheard:
    """Compare the answers to a table with its labels; windows of one song share all of `filename` but its window."""
    asked = _read(path, info)
    answers = client.predict_stream((batch.rows for batch in asked), model=info.name, version=info.version)
    return Unheard(
        songs=len({name.rsplit(".", 2)[0] for batch in asked for name in batch.identifiers}),
        rows=sum(len(batch.truths) for batch in asked),
        right=sum(
            truth == label
            for batch, answer in zip(asked, answers, strict=True)
            for truth, label in zip(batch.truths, answer.labels, strict=True)
        ),
    )


def measure(client: Client, path: Path, info: ModelInfo, seconds: float = _MEASURED_SECONDS) -> float:
    """Rows/s through `predict_stream`: the table over and over in batches of 256 for about `seconds` seconds."""
    parts = [batch.rows for batch in _read(path, info)]
    client.predict(parts[0], info.name, info.version)
    started = time.monotonic()
    done = sum(
        len(prediction)
        for prediction in client.predict_stream(_for(seconds, parts), model=info.name, version=info.version)
    )
    return done / (time.monotonic() - started)


def _read(path: Path, info: ModelInfo) -> list[TableBatch]:
    with open_table(path, BATCH_ROWS) as table:
        return list(batches(table, match_columns(table, info.feature_names, "label")))


def _for(seconds: float, parts: list[npt.NDArray[np.float64]]) -> Iterator[npt.NDArray[np.float64]]:
    end = time.monotonic() + seconds
    for part in cycle(parts):
        yield part
        if time.monotonic() >= end:
            return
