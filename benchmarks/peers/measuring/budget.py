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
ONE, MANY_CALLERS, BATCHES = "one caller", "64 callers", "256 rows"


@dataclass(frozen=True)
class Budget:
    """Rounds, and what each contestant does in a round."""

    rounds: int
    blocks: tuple[Block, ...]


FULL = Budget(
    rounds=5, blocks=(Block(ONE, 1, 1, 3.0, 20), Block(MANY_CALLERS, 64, 1, 4.0, 128), Block(BATCHES, 4, 256, 3.0, 8))
)
QUICK = Budget(
    rounds=1, blocks=(Block(ONE, 1, 1, 1.0, 5), Block(MANY_CALLERS, 64, 1, 1.0, 64), Block(BATCHES, 4, 256, 1.0, 4))
)
