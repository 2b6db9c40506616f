"""A contestant without a server: `python -m benchmarks.peers.contestants.in_process SPEC`.

Runs in its own environment. SPEC is JSON: `kind` and `path`, `threads` and `rows`, a file of held-back rows. Requests
come as lines of JSON on stdin and are answered on stdout: a `load` is done by threads that call the model side by side,
and `answer` writes probabilities to a file.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from benchmarks.peers.measuring.budget import PATIENCE

Answer = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
_WARM_UP_S = 0.3


def make(spec: dict[str, Any]) -> Answer:
    """Make the function that answers raw rows."""
    if spec["kind"] == "pickle":
        from benchmarks.peers.contestants.unpickled import load, probabilities

        pipeline = load(spec["path"])
        return lambda rows: probabilities(pipeline, rows)
    from benchmarks.contestants.stock import StockSessions

    return StockSessions(Path(spec["path"]), threads=int(spec["threads"])).answer


def load_with(answer: Answer, rows: npt.NDArray[np.float32], block: dict[str, Any]) -> dict[str, Any]:
    """Do a block of load, after a short one that is not counted."""
    size = int(block["rows"])
    starts = range(0, max(1, len(rows) - size + 1), size)
    requests = [np.resize(rows[start : start + size], (size, rows.shape[1])) for start in starts]
    _run(answer, requests, {**block, "seconds": _WARM_UP_S, "least": 0})
    return _run(answer, requests, block)


def _run(answer: Answer, requests: list[npt.NDArray[np.float32]], block: dict[str, Any]) -> dict[str, Any]:
    taken: list[float] = []
    begun = time.perf_counter()
    until, cap = begun + block["seconds"], begun + PATIENCE * block["seconds"]

    def caller(number: int) -> None:
        turn = number
        while (now := time.perf_counter()) < until or (len(taken) < block["least"] and now < cap):
            answer(requests[turn % len(requests)])
            taken.append(time.perf_counter() - now)
            turn += int(block["callers"])

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(block["callers"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.perf_counter() - begun, "taken": taken}


def _own_stdout() -> TextIO:
    """Keep stdout for the answers; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def main() -> None:
    """Answer one row, say so, and serve requests until stdin ends."""
    answers = _own_stdout()
    spec = json.loads(sys.argv[1])
    answer, rows = make(spec), np.load(spec["rows"])
    answer(rows[:1])
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "answer" in request:
            np.save(request["answer"], _answers(answer, rows, request["sizes"]))
            said: dict[str, Any] = {}
        else:
            said = load_with(answer, rows, request["load"])
        print(json.dumps(said), file=answers, flush=True)


def _answers(answer: Answer, rows: npt.NDArray[np.float32], sizes: list[int]) -> npt.NDArray[np.float64]:
    """Answer rows in requests of these sizes, one after the other."""
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    return np.concatenate([np.asarray(answer(part), np.float64) for part in parts])


if __name__ == "__main__":
    main()
