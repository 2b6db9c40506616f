"""A process of its own for one contestant, without any other's threads: `python -m benchmarks.contestants.worker SPEC`.

Requests come as lines of JSON on stdin, answers go as lines of JSON to stdout. Times are taken in here: what travels
between the processes is not part of them.
"""

import json
import os
import sys
import time
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from benchmarks.contestants.subjects import Subject, make

# Calls before the clock starts in each block: the other contestant has had the caches meanwhile.
_WARM_UP = 2


def main() -> None:
    """Serve requests until stdin ends."""
    answers = _own_stdout()
    spec = json.loads(sys.argv[1])
    subject = make(spec)
    rows = np.load(spec["rows"]).astype(subject.dtype)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(subject, rows, json.loads(line))), file=answers, flush=True)


def _own_stdout() -> TextIO:
    """Keep stdout for the answers; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(subject: Subject, rows: npt.NDArray[Any], request: dict[str, Any]) -> dict[str, Any]:
    if "save" in request:
        np.save(request["save"], subject.answer(rows))
        return {}
    return {"seconds": time_calls(subject, rows, int(request["rows"]), float(request["seconds"]))}


def time_calls(subject: Subject, rows: npt.NDArray[Any], count: int, seconds: float) -> list[float]:
    """Time calls of `count` rows each, other rows every time, for `seconds` and three calls at least."""
    starts = range(0, len(rows) - count + 1, count)
    batches = [np.ascontiguousarray(rows[start : start + count]) for start in starts]
    for batch in batches[:_WARM_UP]:
        subject.answer(batch)
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        batch = batches[(len(taken) + _WARM_UP) % len(batches)]
        begun = time.perf_counter()
        subject.answer(batch)
        taken.append(time.perf_counter() - begun)
    return taken


if __name__ == "__main__":
    main()
