"""The steps of `genrestack demo`."""

import csv
import gzip
import io
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genrestack.cli.demo.figures import BATCH_ROWS, DemoResult, take_figures
from genrestack.cli.demo.processes import Background, free_port, run_command
from genrestack.cli.models import parity_text
from genrestack.cli.songs.timeline import percent
from genrestack_common.text import printable

NAME: Final = "synthetic"
PRESET: Final = "demo"
WHAT_IT_IS: Final = "ten synthesised styles, made by a program; not real music"

SONG_STYLE: Final = "synth-waltz"
"""The style that the song was made in; `tools/make_demo_data.py` made it and the table."""
_UNHEARD: Final = 5
"""Every fifth song of the table is kept out of training."""


@dataclass(frozen=True)
class Places:
    """What lies where in the demo's folder."""

    folder: Path

    @property
    def songs(self) -> Path:
        """Rows to train on."""
        return self.folder / "songs.csv"

    @property
    def unseen(self) -> Path:
        """Rows to ask about: of songs of which training sees nothing."""
        return self.folder / "unseen.csv"

    @property
    def song(self) -> Path:
        """A synthesised song that is in neither table."""
        return self.folder / "song.flac"

    @property
    def picture(self) -> Path:
        """What the model hears in it, over time."""
        return self.folder / "song.png"

    @property
    def models(self) -> Path:
        """The model repository."""
        return self.folder / "models"

    @property
    def server_log(self) -> Path:
        """What the server says."""
        return self.folder / "serve.log"

    def new_run(self) -> Path:
        """Return a folder for a run that is not there yet."""
        return self.folder / f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def run_demo(folder: Path) -> None:
    """Run all steps; raise click.ClickException naming the command that failed."""
    started = time.monotonic()
    places = Places(folder)
    write_music(places)
    run_command(
        "train", places.songs, "--preset", PRESET, "--models", places.models, "--name", NAME,
        # Figures of songs never heard come from the table put aside above, asked over the wire.
        "--run", places.new_run(), "--seed", 42, "--compare", "none",
        # What the song sounds like, and whether anything in the training does.
        "--neighbors", "--row-names",
    )  # fmt: skip
    port = free_port(50051)
    address = f"127.0.0.1:{port}"
    with Background("serve", places.models, "--port", port, log=places.server_log) as server:
        server.wait_for_port(port)
        asking = ("--server", address, "--model", NAME)
        run_command("health", "--server", address, "--wait", 60)
        run_command("predict", places.unseen, *asking, "--limit", 5)
        run_command("predict", places.song, *asking, "--neighbors", 3, "--plot", places.picture)
        figures = take_figures(address, NAME, places.songs, places.unseen, places.song)
    _close(_facts(figures, address, places), time.monotonic() - started)


def write_music(places: Places) -> None:
    """Write the tables and the song."""
    try:
        places.folder.mkdir(parents=True, exist_ok=True)
        # Asked here: the lines above run in another process, and the server's log comes much later.
        places.server_log.touch()
    except OSError as error:
        raise click.ClickException(
            f"cannot write into {places.folder} ({error.strerror}); choose another folder with --dir"
        ) from error
    click.echo(f"# {WHAT_IT_IS}:")
    click.echo(f"#   {places.songs}: songs to train on, a row for each of their three windows")
    click.echo(f"#   {places.unseen}: every fifth song, kept out of training as a whole, to ask about")
    click.echo(f"#   {places.song}: a song that is in neither table")
    try:
        _write_data(places)
    except OSError as error:
        raise click.ClickException(
            f"cannot write {error.filename or places.folder} ({error.strerror}); choose another folder with --dir"
        ) from error


def _write_data(places: Places) -> None:
    data = files(__package__) / "data"
    text = gzip.decompress((data / "songs.csv.gz").read_bytes()).decode()
    header, *rows = csv.reader(io.StringIO(text))
    heard = [row for row in rows if int(_song_and_window(row)[0]) % _UNHEARD]
    # Sorted, so that the first rows are of different styles.
    unheard = sorted((row for row in rows if int(_song_and_window(row)[0]) % _UNHEARD == 0), key=_song_and_window)
    for path, part in ((places.songs, heard), (places.unseen, unheard)):
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *part])
    places.song.write_bytes((data / "song.flac").read_bytes())


def _song_and_window(row: Sequence[str]) -> list[str]:
    """Return the numbers in a file name such as `synth-waltz.007.2.wav`."""
    return row[0].split(".")[1:]


def _facts(figures: DemoResult, address: str, places: Places) -> dict[str, str]:
    info, unheard, song = figures.info, figures.unheard, figures.song
    answer = f"{song.label} ({percent(float(song.probabilities.max()))})"
    verdict = "the style it was made in" if song.label == SONG_STYLE else f"but it was made in {SONG_STYLE}"
    return {
        "preset": info.provenance.preset or PRESET,
        "held-out rows": f"{info.metrics['accuracy']:.3f} right; drawn at random, so other windows of the same songs "
        "were trained on",
        "songs never heard": f"{unheard.accuracy:.3f} right; {unheard.rows} rows of {unheard.songs} songs kept out of "
        "training as a whole: the figure to go by",
        "parity at export": parity_text(info.parity),
        "parity as served": f"{parity_text(info.served_parity)} ({info.provider})",
        "speed": f"{figures.speed:,.0f} rows/s in batches of {BATCH_ROWS}, over gRPC",
        "served on": f"{address}, stopped now",
        places.song.name: f"{answer}, {verdict}; drawn in {places.picture}",
        "kept in": str(places.folder),
    }


def _close(facts: dict[str, str], seconds: float) -> None:
    click.echo(f"\nThe whole way in {seconds:.0f} s, on {WHAT_IT_IS}:")
    table = Table(box=box.SIMPLE, show_header=False)
    for name, fact in facts.items():
        table.add_row(name, Text(printable(fact)))
    Console().print(table)
    click.echo("Now with songs of your own, a folder of them for each genre:")
    for line in (
        "features genres -o songs.csv",
        "train songs.csv --models models --name yours",
        "serve models &",
        "predict song.mp3 --model yours --plot song.png",
        "web --model yours",
    ):
        click.echo(f"  $ {_typed()} {line}")
    click.echo("A table made elsewhere will do as well: a column for each feature, and one called label.")


def _typed() -> str:
    """Return the command as it has to be typed here: `make demo` does not put it on the PATH."""
    found = shutil.which("genrestack")
    return "genrestack" if found else os.path.relpath(Path(sys.executable).with_name("genrestack"))
