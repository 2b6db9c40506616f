"""What the demo trains on and what it classifies: both synthetic."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

TABLE_SEEDS: Final = range(40)
"""Seeds of the songs in the table, of each style; any other seed is a song that no model of it has seen."""
TABLE_SECONDS: Final = 9.0
"""Length of a song in the table: three windows."""


@dataclass(frozen=True)
class DemoSong:
    """A song to make, by `render(song.style, song.seconds, seed=song.seed)`."""

    style: str
    seed: int
    seconds: float


DEMO_SONG: Final = DemoSong("synth-waltz", 1000, 30.0)
"""The song that the demo classifies; it is not in the table."""


def demo_table() -> bytes:
    """Read the table of synthesised songs: gzipped CSV in the layout of the published tables.

    Made by `python tools/make_demo_table.py` from `TABLE_SEEDS` of each of `STYLES`, by this package's extractor.
    """
    return files("genrestack_audio").joinpath("data", "demo.csv.gz").read_bytes()
