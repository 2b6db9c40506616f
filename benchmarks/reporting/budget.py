"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
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
    many_callers_rounds: int
    many_callers_seconds: float
    generated_calls: int
    """Calls of a block by the generator in C."""


FULL = Budget(
    rounds=20,
    block_seconds=0.25,
    calls=3000,
    stream_rounds=9,
    stream_batches=40,
    starts=5,
    many_callers_rounds=7,
    many_callers_seconds=2.0,
    generated_calls=10_000,
)
QUICK = Budget(
    rounds=3,
    block_seconds=0.1,
    calls=200,
    stream_rounds=2,
    stream_batches=4,
    starts=1,
    many_callers_rounds=1,
    many_callers_seconds=0.5,
    generated_calls=1000,
)
