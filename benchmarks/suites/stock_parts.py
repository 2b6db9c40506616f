"""One row: the composed graph against the parts converted one by one by stock converters."""

from benchmarks.contestants.contest import composed, contest, stock
from benchmarks.contestants.prepared import Prepared
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, quicker

_OURS, _STOCK = "composed graph, single", "five sessions of stock converters' graphs"


def stock_parts(prepared: Prepared, budget: Budget) -> tuple[Figure, ...]:
    """Time the answer to one row, in process."""
    times = contest({_STOCK: stock(prepared.stock), _OURS: composed(prepared.single)}, prepared.rows, 1, budget)
    baseline = Baseline(_STOCK, times.median_ms(_STOCK))
    note = times.spread(_STOCK, _OURS)
    return (quicker(f"1 row, {_OURS}", times.median_ms(_OURS), baseline, least=20, note=note),)
