"""Where GenreStack is not first: derived from the figures, so that no line is forgotten."""

from collections.abc import Sequence

from benchmarks.peers.measuring.results import MEASURES, Measure, Result
from benchmarks.peers.report.numbers import written


def not_first(results: Sequence[Result], reference: str) -> list[str]:
    """Return for each measure who is ahead of the best of ours.

    The reference is left out where it would be compared with itself.
    """
    return [line for measure in MEASURES if (line := _line(measure, results, reference))]


def _line(measure: Measure, results: Sequence[Result], reference: str) -> str:
    itself = measure.key in {"apart", "labels"}
    running = [each for each in results if measure.key in each.values and not (itself and each.key == reference)]
    ours = [each for each in running if each.ours]
    if not ours:
        return ""
    best = sorted(ours, key=lambda each: _rank(measure, each))[0]
    ahead = [each for each in running if not each.ours and _rank(measure, each) < _rank(measure, best)]
    if not ahead:
        return ""
    others = "; ".join(
        f"{each.name} {written(measure, each.values)}" for each in sorted(ahead, key=lambda each: _rank(measure, each))
    )
    return f"{measure.name}: {others}; {best.name} {written(measure, best.values)}"


def _rank(measure: Measure, result: Result) -> float:
    value = result.values[measure.key]
    return -value if measure.more_is_better else value


def best_of(measure: Measure, results: Sequence[Result]) -> float | None:
    """Return the best value of a line; None where nobody has one."""
    found = [each.values[measure.key] for each in results if measure.key in each.values]
    return (max if measure.more_is_better else min)(found, default=None)
