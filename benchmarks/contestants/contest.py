"""Contestants in processes of their own, measured in turns: A, B, A, B."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from benchmarks.reporting.budget import Budget

ROOT = Path(__file__).resolve().parents[2]
# OpenMP's and OpenBLAS's threads spin for some milliseconds after their work is done.
_SETTLE = 0.1

Spec = dict[str, Any]


def threads() -> int:
    """Threads of every contestant."""
    from genrestack_common.resources import usable_cpus

    return usable_cpus()


def composed(repository: Path) -> Spec:
    """Describe the composed graph of the model in a repository."""
    return {"kind": "composed", "repository": str(repository), "threads": threads()}


def unsliced(repository: Path) -> Spec:
    """Describe the same graph in onnxruntime alone, whose threads divide each operator and not the rows."""
    return {"kind": "unsliced", "repository": str(repository), "threads": threads()}


def original(run: Path, *, direct: bool = False, part: str = "") -> Spec:
    """Describe the fitted stack of a run, or one of its base estimators.

    `direct` calls the network itself in place of Keras's `predict()`.
    """
    return {"kind": "original", "run": str(run), "direct": direct, "part": part}


def stock(folder: Path, *, part: str = "") -> Spec:
    """Describe the parts converted by stock converters, or one of the base estimators among them."""
    return {"kind": "stock", "folder": str(folder), "threads": threads(), "part": part}


def environment() -> dict[str, str]:
    """Run every library on the same cores, and none on a GPU."""
    count = str(threads())
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    fixed = {"CUDA_VISIBLE_DEVICES": "-1", "ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **dict.fromkeys(names, count), **fixed}


class Worker:
    """A contestant's process."""

    def __init__(self, spec: Spec, rows: Path) -> None:
        argument = json.dumps({**spec, "rows": str(rows)})
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.contestants.worker", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def __enter__(self) -> Self:
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def time(self, rows: int, seconds: float) -> list[float]:
        """Time calls of `rows` rows each for about `seconds`; return the seconds of each call."""
        taken: list[float] = self._ask({"rows": rows, "seconds": seconds})["seconds"]
        return taken

    def answer_all(self, file: Path) -> npt.NDArray[np.float64]:
        """Answer all rows by way of a file; probabilities, shape (n, k)."""
        self._ask({"save": str(file)})
        return np.asarray(np.load(file), dtype=np.float64)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contestant's process ended with exit status {self._process.wait()}; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Times:
    """Seconds of the calls of each contestant, round by round."""

    def __init__(self, by_name: Mapping[str, Sequence[Sequence[float]]]) -> None:
        self._by_name = by_name

    def median_ms(self, name: str) -> float:
        """Median over all calls, in ms."""
        return 1e3 * statistics.median(seconds for block in self._by_name[name] for seconds in block)

    def spread(self, baseline: str, name: str) -> str:
        """Return the bounds of the ratio of two contestants in the middle half of the rounds."""
        pairs = zip(self._by_name[baseline], self._by_name[name], strict=True)
        ratios = [statistics.median(slow) / statistics.median(quick) for slow, quick in pairs]
        low, _, high = statistics.quantiles(ratios, n=4)
        return f"half of the rounds between {low:.3g} and {high:.3g}"


def contest(specs: Mapping[str, Spec], rows_file: Path, rows: int, budget: Budget) -> Times:
    """Measure contestants in turns, on calls of that many rows."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(spec, rows_file)) for name, spec in specs.items()}
        for worker in workers.values():
            worker.time(rows, budget.block_seconds)
        taken: dict[str, list[list[float]]] = {name: [] for name in workers}
        for _ in range(budget.rounds):
            for name, worker in workers.items():
                time.sleep(_SETTLE)
                taken[name].append(worker.time(rows, budget.block_seconds))
    return Times(taken)
