"""What no code avoids: the matrix products of the network, at the speed this machine does such products."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

_SECONDS: Final = 3.0


def products(widths: Sequence[int], batch: int) -> list[tuple[int, int, int]]:
    """Return the products (m, k, n) of one training step of a dense network.

    Each layer's outputs, the gradient of its weights and, but for the first, of its inputs.

    Args:
        widths: features, units of each hidden layer, classes.
        batch: rows a step.

    """
    forward = [(batch, a, b) for a, b in pairwise(widths)]
    weights = [(a, batch, b) for a, b in pairwise(widths)]
    inputs = [(batch, b, a) for a, b in pairwise(widths[1:])]
    return forward + weights + inputs


def steps(rows: int, folds: int, epochs: int, batch: int) -> int:
    """Count the steps of the network's fit on all rows and of one fit without each fold."""
    fits = [rows, *[rows - rows // folds] * folds]
    return sum(-(-fit // batch) for fit in fits) * epochs


def floor_seconds(widths: Sequence[int], batch: int, count: int, cores: int) -> float:
    """Time one step's products on each core at once, by BLAS in single precision, and return the time of `count`.

    Args:
        widths: as `products` takes them.
        batch: rows a step.
        count: steps in all, shared by the cores.
        cores: processes at once.

    """
    command = [sys.executable, "-m", "benchmarks.training.floor", str(batch), *map(str, widths)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    # Set on some machines for old builds of OpenBLAS; what they choose is not the quickest.
    free = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    running = [
        subprocess.Popen(command, env={**free, **threads}, stdout=subprocess.PIPE, text=True) for _ in range(cores)
    ]
    taken = [float(process.communicate()[0]) for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError("timing the matrix products failed; see above")
    return max(taken) * count / cores


def _one_step(widths: Sequence[int], batch: int) -> float:
    """Time the products of one step, in seconds; the median over some seconds of steps."""
    import numpy as np

    random = np.random.default_rng(0)
    pairs = [
        (random.random((m, k), dtype=np.float32), random.random((k, n), dtype=np.float32), np.empty((m, n), np.float32))
        for m, k, n in products(widths, batch)
    ]
    taken, end = [], time.monotonic() + _SECONDS
    while time.monotonic() < end:
        begun = time.perf_counter()
        for left, right, out in pairs:
            np.matmul(left, right, out=out)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


if __name__ == "__main__":
    print(_one_step([int(width) for width in sys.argv[2:]], int(sys.argv[1])))
