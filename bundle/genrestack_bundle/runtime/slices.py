"""One run of many rows, divided into slices that several threads compute at once.

onnxruntime releases Python's lock while it runs, and one session may be run by several threads. Rows do not depend on
each other, so slices need no waiting in between, as the threads within an operator do; and what an operator keeps of
a slice stays in the caches.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MIN_SLICE_ROWS: Final = 8
"""Below this, waking a thread and running once more cost more than they save, on however many threads."""
MAX_SLICE_ROWS: Final = 64
"""Above this, the distances of a search among training points no longer fit into the caches."""

Outputs = list[npt.NDArray[Any]]


def slice_bounds(rows: int, threads: int) -> list[slice]:
    """Divide n rows into slices of nearly one size, as many for each thread where there are rows enough.

    The largest slice, which is also a server's batch, is divided among all threads; fewer rows wake fewer of them.

    Args:
        rows: n, 0 or more.
        threads: how many compute at once.

    """
    least = max(MAX_SLICE_ROWS // threads, MIN_SLICE_ROWS)
    count = max(-(-rows // MAX_SLICE_ROWS), 1)
    count = max(min(-(-count // threads) * threads, rows // least), count)
    edges = [rows * number // count for number in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def run_slices(run: Callable[[slice], Outputs], slices: Sequence[slice], threads: int) -> Outputs:
    """Run slices on this thread and on helpers that are free, and concatenate each output.

    Args:
        run: computes the outputs of one slice; called by several threads at once.
        slices: at least one, in the order of the answer.
        threads: how many may compute at once, this one included.

    Raises:
        Exception: the first that `run` raised. No slice begins after it, and none is under way any more.

    """
    if len(slices) == 1:
        return run(slices[0])
    job = _Job(run, slices)
    if helpers := min(threads, len(slices)) - 1:
        _HELPERS.call(job, helpers)
    job.work()
    return job.outputs()


class _Job:
    """Slices that any number of threads take one after another."""

    def __init__(self, run: Callable[[slice], Outputs], slices: Sequence[slice]) -> None:
        self._run = run
        self._slices = slices
        self._found: list[Outputs] = [[] for _ in slices]
        self._errors: list[Exception] = []
        self._next = self._under_way = 0
        self._changed = threading.Condition()

    def work(self) -> None:
        """Compute slices until none is left."""
        while (number := self._take()) is not None:
            try:
                self._found[number] = self._run(self._slices[number])
            except Exception as error:  # noqa: BLE001 - raised where the whole is awaited
                self._errors.append(error)
            finally:
                self._give_back()

    def outputs(self) -> Outputs:
        """Wait for the slices under way; a helper that has not begun is not waited for."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)
        try:
            if self._errors:
                raise self._errors[0]
            return [np.concatenate(parts) for parts in zip(*self._found, strict=True)]
        finally:
            # An error refers to the frames it came through, and they to this: a circle that would keep the session.
            self._errors.clear()

    def _take(self) -> int | None:
        with self._changed:
            if self._errors or self._next == len(self._slices):
                return None
            self._next += 1
            self._under_way += 1
            return self._next - 1

    def _give_back(self) -> None:
        with self._changed:
            self._under_way -= 1
            if not self._under_way:
                self._changed.notify_all()


class _Helpers:
    """Threads that take part in jobs; shared by all sessions, and as many as any of them has called for.

    They end with the process and do not hold it up: an operator that never ends would.
    """

    def __init__(self) -> None:
        self._called: SimpleQueue[weakref.ref[_Job]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0

    def call(self, job: _Job, count: int) -> None:
        """Make at most `count` helpers work on a job, those that are free before it is done."""
        with self._lock:
            while self._threads < count:
                self._threads += 1
                threading.Thread(target=self._help, name=f"genrestack-slice-{self._threads}", daemon=True).start()
        # A call that comes too late must keep neither rows nor session.
        for _ in range(count):
            self._called.put(weakref.ref(job))

    def _help(self) -> None:
        while True:
            _work(self._called.get())


def _work(called: "weakref.ref[_Job]") -> None:
    """Work on a job if it still is one; in a function of its own, so that nothing of it is kept until the next."""
    if (job := called()) is not None:
        job.work()


_HELPERS: Final = _Helpers()
