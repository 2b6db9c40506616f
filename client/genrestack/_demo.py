"""The steps of `genrestack demo`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Final

import click
import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table

from genrestack import Client, ModelInfo
from genrestack._columns import batches, match_columns
from genrestack._processes import Background, free_port, run_command, run_python
from genrestack._table import open_table
from genrestack.commands.models import parity_text

NAME: Final = "digits"
PRESET: Final = "demo"
_BATCH_ROWS: Final = 256
_MEASURED_SECONDS: Final = 2.0
_KEPT_ASIDE: Final = 97

# Runs in a process of its own: the client does without scikit-learn.
_WRITE_TABLES: Final = """
import csv, sys
from sklearn.datasets import load_digits
digits = load_digits()
words = "zero one two three four five six seven eight nine".split()
rows = [[*(f"{value:g}" for value in row), words[label]] for row, label in zip(digits.data, digits.target)]
header = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)] + ["label"]
aside = int(sys.argv[3])
for path, part in ((sys.argv[1], rows[:-aside]), (sys.argv[2], rows[-aside:])):
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\\n").writerows([header, *part])
"""


@dataclass(frozen=True)
class Places:
    """What lies where in the demo's folder."""

    folder: Path

    @property
    def table(self) -> Path:
        """Rows to train on."""
        return self.folder / "digits.csv"

    @property
    def unseen(self) -> Path:
        """Rows to ask about, which training never sees."""
        return self.folder / "unseen.csv"

    @property
    def models(self) -> Path:
        """The model repository."""
        return self.folder / "models"

    @property
    def server_log(self) -> Path:
        """What the server says."""
        return self.folder / "serve.log"

    def new_run(self) -> Path:
        """Name a folder for a run that is not there yet."""
        return self.folder / f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def run_demo(folder: Path) -> None:
    """Go the whole way; raises click.ClickException naming the command that failed."""
    started = time.monotonic()
    places = Places(folder)
    _write_tables(places)
    run_command(
        "train", places.table, "--preset", PRESET, "--models", places.models, "--name", NAME,
        "--run", places.new_run(), "--seed", 42,
    )  # fmt: skip
    port = free_port(50051)
    address = f"127.0.0.1:{port}"
    with Background("serve", places.models, "--port", port, log=places.server_log) as server:
        server.wait_for_port(port)
        run_command("health", "--server", address, "--wait", 60)
        run_command("predict", places.unseen, "--server", address, "--limit", 5)
        with Client(address, timeout=60) as client:
            info = client.model(NAME)
            speed = measure(client, places.table, info)
    _close(info, speed, address, places, time.monotonic() - started)


def measure(client: Client, path: Path, info: ModelInfo, seconds: float = _MEASURED_SECONDS) -> float:
    """Rows/s through `predict_stream`: the table over and over in batches of 256 for about `seconds` seconds."""
    with open_table(path, _BATCH_ROWS) as table:
        rows = np.concatenate(
            [batch.rows for batch in batches(table, match_columns(table, info.feature_names, "label"))]
        )
    parts = [rows[first : first + _BATCH_ROWS] for first in range(0, len(rows), _BATCH_ROWS)]
    client.predict(parts[0], info.name, info.version)
    started = time.monotonic()
    done = sum(
        len(prediction)
        for prediction in client.predict_stream(_for(seconds, parts), model=info.name, version=info.version)
    )
    return done / (time.monotonic() - started)


def _for(seconds: float, parts: list[npt.NDArray[np.float64]]) -> Iterator[npt.NDArray[np.float64]]:
    end = time.monotonic() + seconds
    for part in cycle(parts):
        yield part
        if time.monotonic() >= end:
            return


def _write_tables(places: Places) -> None:
    places.folder.mkdir(parents=True, exist_ok=True)
    click.echo(f"# scikit-learn's digits: {places.table} to train on, {places.unseen} kept aside to ask about")
    run_python(_WRITE_TABLES, places.table, places.unseen, _KEPT_ASIDE, what="writing the digits table")


def _close(info: ModelInfo, speed: float, address: str, places: Places, seconds: float) -> None:
    accuracy = info.metrics.get("accuracy")
    table = Table(title=f"the whole way in {seconds:.0f} s", box=box.SIMPLE, show_header=False, title_justify="left")
    facts = {
        "preset": info.provenance.preset or PRESET,
        "accuracy": "-" if accuracy is None else f"{accuracy:.3f} on the rows held back from fitting",
        "parity at export": parity_text(info.parity),
        "parity as served": f"{parity_text(info.served_parity)} ({info.provider})",
        "speed": f"{speed:,.0f} rows/s in batches of {_BATCH_ROWS}, over gRPC",
        "served on": f"{address}, stopped now",
        "kept in": str(places.folder),
    }
    for name, fact in facts.items():
        table.add_row(name, fact)
    Console().print(table)
    click.echo("Now with a table of your own, a column for each feature and one called label:")
    for line in (
        "genrestack train yours.csv --models models --name yours",
        "genrestack serve models",
        "genrestack predict yours.csv --model yours",
    ):
        click.echo(f"  $ {line}")
