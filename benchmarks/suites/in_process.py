"""One row and 256 rows: the composed graph against the stack it was made from."""

from collections.abc import Mapping

from benchmarks.contestants.contest import Spec, composed, contest, original, unsliced
from benchmarks.contestants.prepared import Prepared
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, quicker

_SINGLE, _DOUBLE = "composed graph, single", "composed graph, double"
_UNSLICED = "the same graph in onnxruntime alone"
_PREDICT, _DIRECT = "the notebook's stack, Keras predict()", "the notebook's stack, model(x)"


def one_row(prepared: Prepared, budget: Budget) -> tuple[Figure, ...]:
    """Time the answer to one row, in process."""
    return _against_the_stack(prepared, budget, 1, "1 row", {_PREDICT: 250.0})


def many_rows(prepared: Prepared, budget: Budget) -> tuple[Figure, ...]:
    """Time the answer to 256 rows, in process."""
    return _against_the_stack(prepared, budget, 256, "256 rows", {_DIRECT: 25.0})


def _against_the_stack(
    prepared: Prepared, budget: Budget, rows: int, what: str, least: Mapping[str, float]
) -> tuple[Figure, ...]:
    """Compare; `least` is how many times quicker than a baseline the single-precision graph has to be."""
    specs: dict[str, Spec] = {
        _PREDICT: original(prepared.run),
        _SINGLE: composed(prepared.single),
        _DIRECT: original(prepared.run, direct=True),
        _DOUBLE: composed(prepared.double),
        _UNSLICED: unsliced(prepared.single),
    }
    times = contest(specs, prepared.rows, rows, budget)

    def line(candidate: str, baseline: str) -> Figure:
        return quicker(
            f"{what}, {candidate}",
            times.median_ms(candidate),
            Baseline(baseline, times.median_ms(baseline)),
            least=least.get(baseline) if candidate == _SINGLE else None,
            note=times.spread(baseline, candidate),
        )

    return (
        line(_SINGLE, _PREDICT),
        line(_SINGLE, _DIRECT),
        line(_DOUBLE, _PREDICT),
        line(_DOUBLE, _DIRECT),
        line(_SINGLE, _UNSLICED),
    )
