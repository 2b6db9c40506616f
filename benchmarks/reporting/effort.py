"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Repetitions; every contestant is measured in short blocks that take turns."""

    rounds: int
    """Turns of each contestant in process."""
    block_seconds: float
    """Length of a turn."""
    calls: int
    """One-row calls of each kind over the wire."""
    stream_rounds: int
    stream_batches: int
    starts: int
    crowd_rounds: int
    crowd_seconds: float


FULL = Effort(
    rounds=20,
    block_seconds=0.25,
    calls=3000,
    stream_rounds=9,
    stream_batches=40,
    starts=5,
    crowd_rounds=7,
    crowd_seconds=2.0,
)
QUICK = Effort(
    rounds=3,
    block_seconds=0.1,
    calls=200,
    stream_rounds=2,
    stream_batches=4,
    starts=1,
    crowd_rounds=1,
    crowd_seconds=0.5,
)
