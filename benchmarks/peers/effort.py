"""How much is measured of each contestant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One kind of load."""

    name: str
    callers: int
    """Each waits for its answer before it calls again."""
    rows: int
    """Rows of a request."""
    seconds: float
    """Calls begin for so long."""
    least: int
    """Calls that a slow contestant finishes all the same, within `PATIENCE` times the seconds."""


PATIENCE = 5.0
ONE, CROWD, BATCHES = "one caller", "64 callers", "256 rows"


@dataclass(frozen=True)
class Effort:
    """Rounds, and what each contestant does in a round."""

    rounds: int
    blocks: tuple[Block, ...]


FULL = Effort(
    rounds=5, blocks=(Block(ONE, 1, 1, 3.0, 20), Block(CROWD, 64, 1, 4.0, 128), Block(BATCHES, 4, 256, 3.0, 8))
)
QUICK = Effort(
    rounds=1, blocks=(Block(ONE, 1, 1, 1.0, 5), Block(CROWD, 64, 1, 1.0, 64), Block(BATCHES, 4, 256, 1.0, 4))
)
