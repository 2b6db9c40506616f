"""What was measured, as the figures of the table."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.peers.load.messages import Probabilities
from benchmarks.peers.measuring.budget import BATCHES, MANY_CALLERS, ONE
from benchmarks.peers.measuring.contestant_run import ContestantRun


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    key: str
    name: str
    unit: str
    more_is_better: bool = False


MEASURES: Final = (
    Measure("one_p50", "1 row, 1 caller, p50", "ms"),
    Measure("one_p99", "1 row, 1 caller, p99", "ms"),
    Measure("many_callers_p50", "1 row, 64 callers, p50", "ms"),
    Measure("many_callers_p99", "1 row, 64 callers, p99", "ms"),
    Measure("many_callers_rate", "1 row, 64 callers, rows/s", "rows/s", more_is_better=True),
    Measure("batch_rate", "256 rows a request, 4 callers, rows/s", "rows/s", more_is_better=True),
    Measure("start", "start to the first answer", "s"),
    Measure("memory", "resident memory", "MB"),
    Measure("installed", "installed size", "MB"),
    Measure("apart", "max |Δp| from scikit-learn", ""),
    Measure("labels", "labels as scikit-learn's", "%", more_is_better=True),
)

Values = dict[str, float]
"""By a measure's key; what was not measured is left out."""


@dataclass(frozen=True)
class Result:
    """All of one contestant."""

    key: str
    name: str
    how: str
    ours: bool
    versions: dict[str, str]
    values: Values
    rounds: tuple[Values, ...] = ()
    """The same by round, where a round gives it."""
    failure: str = ""
    """Why there are no figures."""
    beside: str = ""
    """Key of the one that is the same server asked by gRPC; empty: a column of the table."""


def values_of(turns: Sequence[ContestantRun]) -> Values:
    """Return percentiles over the calls of all rounds, and medians over rounds of what a round gives once."""
    one, many_callers = _taken_ms(turns, ONE), _taken_ms(turns, MANY_CALLERS)
    return {
        "one_p50": percentile(one, 50),
        "one_p99": percentile(one, 99),
        "many_callers_p50": percentile(many_callers, 50),
        "many_callers_p99": percentile(many_callers, 99),
        "many_callers_rate": statistics.median(_rate(turn, MANY_CALLERS, 1) for turn in turns),
        "batch_rate": statistics.median(_rate(turn, BATCHES, 256) for turn in turns),
        "start": statistics.median(turn.start_seconds for turn in turns),
        "memory": max(turn.memory_mb for turn in turns),
    }


def compared(found: Probabilities, expected: Probabilities) -> Values:
    """Compare probabilities with the reference's, row by row."""
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return {"apart": float(np.abs(found - expected).max()), "labels": 100 * float(same.mean())}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def _taken_ms(turns: Sequence[ContestantRun], block: str) -> list[float]:
    return [1e3 * seconds for turn in turns for seconds in turn.loads[block].taken]


def _rate(turn: ContestantRun, block: str, rows: int) -> float:
    load = turn.loads[block]
    return rows * len(load.taken) / load.seconds
