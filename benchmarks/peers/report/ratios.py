"""Our server beside MLServer with the same pickle, by gRPC and by HTTP, and HTTP beside gRPC: figures with ratios."""

from collections.abc import Sequence
from typing import Final

from benchmarks.peers.measuring.results import Result
from benchmarks.reporting.figure import Baseline, Figure, bounded, quicker, share

PAIRS: Final = (
    ("genrestack-1", "mlserver"),
    ("genrestack-json", "mlserver-json"),
    ("genrestack-bytes", "mlserver-json"),
    ("genrestack-json", "genrestack-1"),
    ("genrestack-bytes", "genrestack-1"),
    ("mlserver-json", "mlserver"),
)
"""What is compared with what, by key."""
TARGET: Final = {("batch_rate", "genrestack-1", "mlserver"): 30.0}
_MOST_MB: Final = 195.0
_ONE, _BATCHES = "one_p50", "batch_rate"


def figures(results: Sequence[Result]) -> list[Figure]:
    """Compare what is there of the pairs: p50 of one row, rows a second of 256; and weigh what our server needs."""
    by_key = {each.key: each for each in results if each.values}
    pairs = [(by_key[one], by_key[other]) for one, other in PAIRS if one in by_key and other in by_key]
    compared = [_figure(measure, *pair) for measure in (_ONE, _BATCHES) for pair in pairs]
    return compared + [
        bounded(f"installed size, {each.name}", each.values["installed"], "MB", most=_MOST_MB)
        for each in results
        if each.key == "genrestack-1" and "installed" in each.values
    ]


def _figure(measure: str, ours: Result, theirs: Result) -> Figure:
    value, baseline = ours.values[measure], Baseline(_named(theirs), theirs.values[measure])
    least = TARGET.get((measure, ours.key, theirs.key))
    note = _spread(measure, ours, theirs)
    if measure == _ONE:
        return quicker(f"1 row, 1 caller, p50, {_named(ours)}", value, baseline, least=least, note=note)
    what = f"256 rows a request, 4 callers, {_named(ours)}"
    return share(what, value, "rows/s", baseline, least=least, note=note)


def _named(result: Result) -> str:
    return result.name if result.beside else f"{result.name}, gRPC"


def _spread(measure: str, ours: Result, theirs: Result) -> str:
    """Return how far the ratio of the rounds lay apart."""
    pairs = [(one[measure], other[measure]) for one, other in zip(ours.rounds, theirs.rounds, strict=False)]
    ratios = [theirs / ours if measure == _ONE else ours / theirs for ours, theirs in pairs]
    return f"rounds between {min(ratios):.3g} and {max(ratios):.3g}" if len(ratios) > 1 else ""
