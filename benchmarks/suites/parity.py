"""Whether the quick answers are the right ones: labels and probabilities against the original, on held-back rows."""

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.contestants.contest import Spec, Worker, composed, original, stock
from benchmarks.contestants.prepared import Prepared
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, bounded, share

_STACK, _KNN = "the notebook's stack", "knn"
# What an export promises of the whole stack.
_PROMISED = {"single": 5e-4, "double": 5e-6}

Probabilities = npt.NDArray[np.float64]


def parity(prepared: Prepared, budget: Budget) -> tuple[Figure, ...]:  # noqa: ARG001 - one signature for all
    """Compare answers on every held-back row, both sides given the same float32 values."""
    with tempfile.TemporaryDirectory() as folder:

        def answers(spec: Spec) -> Probabilities:
            with Worker(spec, prepared.rows) as worker:
                return worker.answer_all(Path(folder) / "answers.npy")

        whole = answers(original(prepared.run))
        single, double = answers(composed(prepared.single)), answers(composed(prepared.double))
        knn = answers(original(prepared.run, part=_KNN))
        stock_whole, stock_knn = answers(stock(prepared.stock)), answers(stock(prepared.stock, part=_KNN))
    return (
        _labels("composed graph, single", single, whole, _STACK, least=1),
        _labels("composed graph, double", double, whole, _STACK, least=1),
        bounded("max |Δp|, composed graph, single", _worst(single, whole), "", most=_PROMISED["single"]),
        bounded("max |Δp|, composed graph, double", _worst(double, whole), "", most=_PROMISED["double"]),
        _labels("five sessions", stock_whole, whole, _STACK, note=_apart(stock_whole, whole)),
        _labels("the KNN of the five sessions", stock_knn, knn, "the stack's KNN", note=_apart(stock_knn, knn)),
    )


def _labels(
    name: str, found: Probabilities, expected: Probabilities, of: str, *, least: float | None = None, note: str = ""
) -> Figure:
    agreed = int(np.count_nonzero(found.argmax(axis=1) == expected.argmax(axis=1)))
    return share(f"labels agreed, {name}", agreed, "rows", Baseline(of, len(expected)), least=least, note=note)


def _worst(found: Probabilities, expected: Probabilities) -> float:
    return float(np.abs(found - expected).max())


def _apart(found: Probabilities, expected: Probabilities) -> str:
    return f"max |Δp| {_worst(found, expected):.1e}"
