"""The songs of the demo's table, and the one it classifies: all synthetic."""

from dataclasses import dataclass
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
