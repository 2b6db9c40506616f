"""Runs divided into slices: which rows are together, what comes of them, and how they end."""

import gc
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from server.bundles.hostile import endless_when_hot, hot_rows, write_hostile
from server.bundles.tiny import draw_rows
from support.samples.stacks import FittedStack

from genrestack_bundle import Cancellation, ComposedSession, RunLimit, open_bundle
from genrestack_bundle.runtime.slices import MAX_SLICE_ROWS, MIN_SLICE_ROWS, run_slices, slice_bounds

THREADS = 3
GUARD_S = 60.0


@pytest.fixture(scope="module")
def graph(models_dir: Path) -> bytes:
    return open_bundle(models_dir / "digits" / "1").compose()


@pytest.fixture(scope="module")
def session(graph: bytes) -> ComposedSession:
    return ComposedSession(graph, part_names=["knn", "svc"], provider="cpu", threads=THREADS)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_slices_are_all_rows_in_order_and_of_nearly_one_size(threads: int) -> None:
    for rows in (0, 1, 15, 16, 31, 32, 33, 63, 64, 65, 100, 129, 256, 1000, 65_536):
        slices = slice_bounds(rows, threads)
        sizes = [each.stop - each.start for each in slices]
        assert [number for each in slices for number in range(rows)[each]] == list(range(rows))
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= MAX_SLICE_ROWS
        assert len(slices) == 1 or min(sizes) >= MIN_SLICE_ROWS
        if rows >= MAX_SLICE_ROWS and threads <= MAX_SLICE_ROWS // MIN_SLICE_ROWS:
            assert len(slices) % threads == 0


@pytest.mark.parametrize(("rows", "threads", "count"), [(63, 2, 1), (64, 2, 2), (32, 4, 2), (16, 8, 2), (64, 99, 8)])
def test_few_rows_wake_few_threads(rows: int, threads: int, count: int) -> None:
    assert len(slice_bounds(rows, threads)) == count


@pytest.mark.parametrize("threads", [1, THREADS, 16])
def test_batch_and_threads_make_no_difference_to_the_last_bit(
    graph: bytes, small_stack: FittedStack, threads: int
) -> None:
    """The reference is onnxruntime by itself, given all rows at once on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    alone = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rows = np.resize(small_stack.rows, (512, 64)).astype(np.float32)
    outputs = ["class_index", "probabilities", "probabilities.knn", "probabilities.svc"]
    expected = alone.run(outputs, {"features": rows})
    session = ComposedSession(graph, part_names=["knn", "svc"], provider="cpu", threads=threads)
    for count in (*range(1, 257), 511, 512):
        answer = session.run(rows[:count])
        found: list[Any] = [answer.class_index, answer.probabilities, answer.base["knn"], answer.base["svc"]]
        for ours, theirs in zip(found, expected, strict=True):
            assert np.array_equal(ours, theirs[:count]), count


def test_rows_of_any_layout(session: ComposedSession, small_stack: FittedStack) -> None:
    rows = np.resize(small_stack.rows, (200, 64)).astype(np.float32)
    expected = session.run(rows)
    for layout in (np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2]):
        assert np.array_equal(session.run(layout).probabilities, expected.probabilities)


def test_runs_at_once_get_their_own_answers(session: ComposedSession, small_stack: FittedStack) -> None:
    rows = np.resize(small_stack.rows, (400, 64)).astype(np.float32)
    expected = session.run(rows).probabilities
    wrong: list[int] = []

    def ask(start: int) -> None:
        answers = [session.run(rows[start : start + 150]).probabilities for _ in range(5)]
        wrong.extend(start for each in answers if not np.array_equal(each, expected[start : start + 150]))

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 250, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_as_many_threads_as_may_compute_at_once_do() -> None:
    together = threading.Barrier(THREADS)

    def run(part: slice) -> list[npt.NDArray[Any]]:
        together.wait(GUARD_S)
        return [np.arange(part.start, part.stop)]

    (found,) = run_slices(run, slice_bounds(2 * THREADS * MAX_SLICE_ROWS, THREADS), THREADS)
    assert found.tolist() == list(range(2 * THREADS * MAX_SLICE_ROWS))


def test_helpers_that_are_busy_elsewhere_are_not_waited_for() -> None:
    """Ten runs, each of which holds a helper or its own thread, and one that has to do with its own."""
    held, free = threading.Semaphore(0), threading.Event()

    def hold(part: slice) -> list[npt.NDArray[Any]]:
        held.release()
        free.wait(GUARD_S)
        return [np.arange(part.start, part.stop)]

    halves = [slice(0, 1), slice(1, 2)]
    runs = [threading.Thread(target=run_slices, args=(hold, halves, 2)) for _ in range(10)]
    for thread in runs:
        thread.start()
    try:
        for _ in range(11):
            assert held.acquire(timeout=GUARD_S)
        (found,) = run_slices(lambda part: [np.arange(part.start, part.stop)], halves, 2)
        assert found.tolist() == [0, 1]
    finally:
        free.set()
        for thread in runs:
            thread.join()


def test_the_first_error_ends_a_run_once_nothing_of_it_is_under_way() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def run(part: slice) -> list[npt.NDArray[Any]]:
        begun.append(part.start)
        try:
            raise ArithmeticError(f"at {part.start}")
        finally:
            ended.append(part.start)

    with pytest.raises(ArithmeticError, match=r"at \d+"):
        run_slices(run, slice_bounds(100 * MAX_SLICE_ROWS, THREADS), THREADS)
    assert sorted(begun) == sorted(ended)
    assert len(begun) <= THREADS


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_has_ended_keeps_nothing(fails: bool) -> None:
    class Kept:
        def run(self, part: slice) -> list[npt.NDArray[Any]]:
            if fails:
                raise ArithmeticError
            return [np.zeros(part.stop - part.start)]

    def compute() -> "weakref.ref[Kept]":
        kept = Kept()
        with suppress(ArithmeticError):
            run_slices(kept.run, slice_bounds(500, THREADS), THREADS)
        return weakref.ref(kept)

    gc.disable()
    try:
        left = compute()
        # Helpers let go of a job a moment after it has ended.
        for _ in range(2):
            run_slices(lambda part: [np.zeros(1)], [slice(0, 1), slice(1, 2)], THREADS)
        assert _soon(lambda: left() is None)
    finally:
        gc.enable()


def _soon(what: Any) -> bool:
    tick = threading.Event()
    return any(what() or tick.wait(0.01) for _ in range(6000)) or what()


@pytest.mark.parametrize("hot", [0, 90, 191])
def test_every_slice_ends_with_its_run(tmp_path: Path, hot: int) -> None:
    """One of the slices never ends by itself, whichever thread has it."""
    bundle = open_bundle(write_hostile(tmp_path, "tiny", "scaler.onnx", endless_when_hot))
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=THREADS)
    rows = draw_rows(192)
    rows[hot] = hot_rows()[0]
    for limit in (RunLimit(seconds=0.1), _cancelled()):
        with limit, pytest.raises(Exception, match="terminate"):
            session.run(rows, limit.options)
        assert limit.over
    assert np.isfinite(session.run(draw_rows(192)).probabilities).all()


def _cancelled() -> RunLimit:
    cancellation = Cancellation()
    threading.Timer(0.1, cancellation.cancel).start()
    return RunLimit(cancellation=cancellation)


def test_one_session_has_one_thread(graph: bytes) -> None:
    """A wider answer costs no second copy of the weights, and no thread that onnxruntime keeps for itself."""
    before = len(list(Path("/proc/self/task").iterdir()))
    sessions = [ComposedSession(graph, part_names=["knn", "svc"], provider="cpu", threads=16) for _ in range(3)]
    assert len(list(Path("/proc/self/task").iterdir())) == before
    del sessions
