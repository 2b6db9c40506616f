"""What a load is made of; always bounded."""

from dataclasses import dataclass
from typing import Final, Literal

from genrestack._core.invalid import invalid

Arrivals = Literal["poisson", "constant"]

MOST_CALLS: Final = 10_000_000
"""Calls of one run at most: each leaves 24 bytes behind."""
MOST_WAITING: Final = 100_000
"""Calls that may be unanswered at once."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One load on one server."""

    callers: int = 16
    """Callers that each wait for their answer before they ask again; with a rate, the streams that share it."""
    rate: float | None = None
    """Requests a second, whether or not answers keep up; None: as fast as the callers get their answers."""
    arrivals: Arrivals = "poisson"
    """How requests at a rate are spaced: at random as from many independent callers, or evenly."""
    stream: bool = False
    """Each caller sends its requests through one PredictStream; else by Predict."""
    rows: int = 1
    """Rows in a request."""
    seconds: float = 10.0
    """How long is measured."""
    requests: int | None = None
    """How many requests are measured, if that is reached before the time."""
    warm_up: float = 2.0
    """Seconds of the same load beforehand, which do not count."""
    timeout: float = 10.0
    """Seconds a request may take."""
    connections: int = 1
    """TCP connections that the callers share."""
    seed: int = 0
    """Of the rows and of the arrivals."""

    def __post_init__(self) -> None:
        if self.rate is None:
            return
        if (self.seconds + self.warm_up) * self.rate > MOST_CALLS:
            raise invalid(
                "rate", f"of {self.rate:g}/s for {self.seconds:g} s is over {MOST_CALLS:,} requests; ask less"
            )
        if self.timeout * self.rate > MOST_WAITING:
            raise invalid("rate", f"of {self.rate:g}/s may leave {MOST_WAITING:,} unanswered; give a shorter timeout")

    def __str__(self) -> str:
        way = "through streams" if self.stream else "by unary calls"
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'} a request"
        if self.rate is None:
            who = f"{self.callers:,} caller{'' if self.callers == 1 else 's'}, each waiting for its answer"
        else:
            who = f"{self.rate:g} requests/s ({self.arrivals} arrivals), answered or not"
        length = f"{self.seconds:g} s" if self.requests is None else f"{self.requests:,} requests or {self.seconds:g} s"
        wires = f"{self.connections} connection{'' if self.connections == 1 else 's'}"
        return f"{who}; {rows} {way}; {wires}; {length} after {self.warm_up:g} s of warm-up"
