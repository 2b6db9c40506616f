"""Sealed graphs that never end, or answer what cannot be an answer: their callers are told, and nobody else notices."""

import asyncio
import logging
import re
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from server.bundles.hostile import (
    FATAL_ROWS,
    endless,
    endless_when,
    endless_when_hot,
    hot_rows,
    write_hostile,
    wrong_when_fatal,
)
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.inference.bench import Bench, altered, on_bench, same
from server.running.live import Running, RunServer
from server.running.watching import index, registry
from support.waiting import until

from genrestack_bundle import Answer, WrongAnswerError
from genrestack_proto.matrix import FloatMatrix, from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server import Server, ServerConfig
from genrestack_server.call import Call
from genrestack_server.errors import DeadlineExceeded, Draining, RunEndedError, Stuck
from genrestack_server.inference import batcher
from genrestack_server.models.loader import load_version
from genrestack_server.models.registry import ServedModel

NEVER_S = 86_400.0
ON_LOOP, IN_THREAD = 1, 500


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one model, `trap`: a hot row sets off a loop that nothing ends."""
    folder = tmp_path_factory.mktemp("trap")
    write_hostile(folder, "trap", "scaler.onnx", endless_when_hot)
    return folder


@pytest.fixture(scope="module")
def trapped(trap: Path) -> ServedModel:
    served = load_version("trap", 1, ServerConfig(models_dir=trap, threads=1))
    assert ON_LOOP <= served.inline_max_rows < IN_THREAD
    return served


def _predict(running: Running, rows: Any, timeout: float | None = 60) -> Any:
    return from_matrix(running.stub.Predict(PredictRequest(rows=to_matrix(rows)), timeout=timeout).probabilities)


def _answers_rightly(running: Running) -> None:
    rows = draw_rows(3)
    np.testing.assert_allclose(_predict(running, rows), TinyStack.draw().predict_proba(rows), atol=1e-6)
    assert running.health() == "SERVING"


@pytest.mark.parametrize("rows", [ON_LOOP, IN_THREAD])
def test_an_endless_run_ends_with_its_callers_deadline(trap: Path, run_server: RunServer, rows: int) -> None:
    with run_server(trap, max_compute_seconds=NEVER_S, max_batch_rows=IN_THREAD) as running:
        with pytest.raises(grpc.RpcError) as refused:
            _predict(running, hot_rows(rows), timeout=0.3)
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        _answers_rightly(running)


@pytest.mark.parametrize("rows", [ON_LOOP, IN_THREAD])
def test_an_endless_run_ends_after_the_servers_own_limit(
    trap: Path, run_server: RunServer, rows: int, caplog: pytest.LogCaptureFixture
) -> None:
    with run_server(trap, max_compute_seconds=0.5, max_batch_rows=IN_THREAD) as running:
        with pytest.raises(grpc.RpcError) as refused:
            _predict(running, hot_rows(rows), timeout=None)
        assert refused.value.code() is grpc.StatusCode.INTERNAL
        found = re.fullmatch(r"internal error (\w{8}); .*", refused.value.details() or "")
        assert found
        _answers_rightly(running)
    (record,) = [r for r in caplog.records if r.getMessage() == f"internal error {found[1]}"]
    assert record.exc_info
    assert str(record.exc_info[1]) == f"trap/1 took too long for {rows} row{'s' * (rows > 1)}, and was ended"


def test_others_are_answered_while_an_endless_run_that_seemed_quick_goes_on(trap: Path, run_server: RunServer) -> None:
    """A quick run is done on the event loop; one that never ends leaves it."""
    with run_server(trap, max_compute_seconds=NEVER_S) as running:
        endless_call = running.stub.Predict.future(PredictRequest(rows=to_matrix(hot_rows())))
        until(lambda: running.server is not None and running.server.engine.admission.in_flight == 1)
        assert running.health() == "SERVING"
        assert not endless_call.done()
        endless_call.cancel()
        _answers_rightly(running)


def test_a_run_goes_on_for_its_latest_deadline_and_no_longer(trapped: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        ends = time.monotonic() + 0.8
        early = bench.ask(trapped, hot_rows(2), deadline=time.monotonic() + 0.5)
        late = bench.ask(trapped, draw_rows(2), deadline=ends)
        for caller in (early, late):
            with pytest.raises(DeadlineExceeded, match="while the rows were computed"):
                await caller
        assert time.monotonic() >= ends
        same(await bench.ask(trapped, draw_rows(2)), trapped, draw_rows(2))
        assert [shared for _, *shared in bench.counted.executions] == [[4, 2], [2, 1]]

    on_bench(walk, max_compute_seconds=NEVER_S)


def test_a_caller_that_has_left_does_not_count_as_waiting(trapped: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        patient = [bench.ask(trapped, hot_rows(3)) for _ in range(5)]
        deadline = bench.ask(trapped, hot_rows(3), deadline=time.monotonic() + 60)
        wait = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.1, wait.set_result, None)
        await wait
        for caller in (*patient, deadline):
            assert not caller.done()
            caller.cancel()
        same(await bench.ask(trapped, draw_rows(2)), trapped, draw_rows(2))

    on_bench(walk, max_compute_seconds=NEVER_S)


def test_who_still_had_time_is_told_that_the_run_took_too_long(trapped: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        early = bench.ask(trapped, hot_rows(2), deadline=time.monotonic() + 0.4)
        patient = bench.ask(trapped, draw_rows(2))
        with pytest.raises(RunEndedError, match="trap/1 took too long for 4 rows"):
            await patient
        with pytest.raises(DeadlineExceeded):
            await early

    on_bench(walk, max_compute_seconds=0.8)


def test_closing_ends_an_endless_run(trapped: ServedModel) -> None:
    others = set(threading.enumerate())

    async def walk(bench: Bench) -> None:
        call = Call("Predict", rows=IN_THREAD)
        running = asyncio.ensure_future(bench.batcher.run(trapped, hot_rows(IN_THREAD), call))
        await asyncio.to_thread(until, lambda: call.batch_rows > 0)
        waiting = bench.ask(trapped, hot_rows(IN_THREAD))
        await asyncio.sleep(0)
        bench.batcher.close()
        for caller in (running, waiting):
            with pytest.raises(Draining):
                await caller
        # It would hold up the interpreter's end.
        await asyncio.to_thread(until, lambda: not any(map(_runs, {*threading.enumerate()} - others)))

    on_bench(walk, max_compute_seconds=NEVER_S, max_batch_rows=IN_THREAD)


def _runs(thread: threading.Thread) -> bool:
    return thread.name.startswith("genrestack-run")


class Operator:
    """Stands for an operator that nothing can end: a hot row holds it up until it is let go."""

    def __init__(self, served: ServedModel) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()
        self.served = altered(served, self._run)
        self._session = served.session

    def _run(self, rows: FloatMatrix) -> Answer:
        if rows[0, 0] == hot_rows()[0, 0]:
            self.begun.set()
            assert self.let_go.wait(200)
        return self._session.run(rows)


def test_health_is_truthful_while_a_run_does_not_end(
    tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can end a single operator; until it is through, the server says that it cannot serve."""
    monkeypatch.setattr(batcher, "_STUCK_S", 0.01)
    with run_server(tiny_models, max_compute_seconds=0.5) as running, ExitStack() as stack:
        operator = Operator(registry(running).find("tiny", 0))
        stack.callback(operator.let_go.set)
        registry(running).add(operator.served)
        watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())
        states = (health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) for answer in watch)
        assert next(states) == "SERVING"
        with pytest.raises(grpc.RpcError) as refused:
            _predict(running, hot_rows(IN_THREAD), timeout=None)
        assert refused.value.code() is grpc.StatusCode.INTERNAL
        assert next(states) == "NOT_SERVING"
        assert running.health("tiny") == running.health("tiny/2") == "NOT_SERVING"
        with pytest.raises(grpc.RpcError) as refused:
            _predict(running, draw_rows(1), timeout=None)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        operator.let_go.set()
        assert next(states) == "SERVING"
        _answers_rightly(running)
        watch.cancel()


def test_what_waits_behind_a_run_that_does_not_end_is_refused(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher, "_STUCK_S", 0.01)
    operator = Operator(load_version("tiny", 1, ServerConfig(models_dir=tiny_models, threads=1)))

    async def walk(bench: Bench) -> None:
        heavy = bench.ask(operator.served, hot_rows(IN_THREAD))
        await asyncio.to_thread(operator.begun.wait)
        behind = [bench.ask(operator.served, draw_rows(20), backpressured=waits) for waits in (False, False, True)]
        with pytest.raises(RunEndedError):
            await heavy
        for caller in behind:
            with pytest.raises(Stuck):
                await caller
        with pytest.raises(Stuck):
            await bench.ask(operator.served, draw_rows(1))
        changed = asyncio.Event()
        bench.batcher.stuck_changed = changed.set
        operator.let_go.set()
        await changed.wait()
        assert bench.batcher.waiting_rows == 0
        same(await bench.ask(operator.served, draw_rows(1)), operator.served, draw_rows(1))

    try:
        on_bench(walk, max_compute_seconds=0.5, max_batch_rows=IN_THREAD, max_queue_rows=40)
    finally:
        operator.let_go.set()


WRONG: dict[str, tuple[Any, ...]] = {
    "a class that there is not": ("class_index", "Add", np.int64(9)),
    "a negative class": ("class_index", "Sub", np.int64(9)),
    "a row too few": ("probabilities", "Slice", [0], [FATAL_ROWS - 1], [0]),
    "a row too many": ("probabilities", "Pad", [0, 0, 1, 0]),
    "an index too few": ("class_index", "Slice", [0], [FATAL_ROWS - 1], [0]),
    "a column too few": ("probabilities", "Slice", [0], [2], [1]),
    "twice as much": ("probabilities", "Mul", 2.0),
    "negative ones": ("probabilities", "Sub", [[1.0, 0.0, -1.0]]),
    "the rows one below the other": ("probabilities", "Reshape", [-1, 1]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_passed_on_to_nobody(tmp_path: Path, run_server: RunServer, case: str) -> None:
    write_hostile(tmp_path, "tiny", "meta.onnx", wrong_when_fatal(*WRONG[case]))
    with run_server(tmp_path) as running:
        with pytest.raises(grpc.RpcError) as refused:
            _predict(running, draw_rows(FATAL_ROWS))
        assert refused.value.code() is grpc.StatusCode.INTERNAL
        assert re.fullmatch(r"internal error \w{8}; .*", refused.value.details() or "")
        _answers_rightly(running)


@pytest.mark.parametrize("case", WRONG)
def test_callers_that_share_a_wrong_answer_all_hear_of_it(tmp_path: Path, case: str) -> None:
    write_hostile(tmp_path, "tiny", "meta.onnx", wrong_when_fatal(*WRONG[case]))
    served = load_version("tiny", 1, ServerConfig(models_dir=tmp_path, threads=1))

    async def walk(bench: Bench) -> None:
        some, others = bench.ask(served, draw_rows(3)), bench.ask(served, draw_rows(FATAL_ROWS - 3))
        for caller in (some, others):
            with pytest.raises(WrongAnswerError):
                await caller
        pieces = bench.ask(served, draw_rows(20 + FATAL_ROWS))
        with pytest.raises(WrongAnswerError):
            await pieces
        same(await bench.ask(served, draw_rows(3)), served, draw_rows(3))
        assert bench.batcher.waiting_rows == 0

    on_bench(walk, max_batch_rows=20)


def test_a_row_without_a_finite_answer_is_still_its_senders_fault(tmp_path: Path, run_server: RunServer) -> None:
    write_hostile(tmp_path, "tiny", "meta.onnx", wrong_when_fatal("probabilities", "Mul", [[np.nan, 1.0, 1.0]]))
    with run_server(tmp_path) as running, pytest.raises(grpc.RpcError) as refused:
        _predict(running, draw_rows(FATAL_ROWS))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("scaler.onnx", endless_when(64), r"needs more than 1 s for 64 rows \(--max-compute-seconds\)"),
        ("scaler.onnx", endless_when(1), r"needs more than 1 s for 1 row \(--max-compute-seconds\)"),
    ],
    ids=["many rows", "one row"],
)
def test_a_version_that_does_not_get_warm_is_refused(
    tmp_path: Path, run_server: RunServer, file: str, change: Any, complaint: str
) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw())
    write_hostile(tmp_path, "tiny", file, change)
    # One thread: two would have half of the rows each.
    with run_server(tmp_path, max_compute_seconds=1.0, threads=1) as running:
        assert re.search(complaint, index(running)["tiny/2"][1])
        assert running.server is not None
        assert [served.title for served in running.server.models] == ["tiny/1"]
        _answers_rightly(running)


def test_stopping_while_golden_rows_never_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_hostile(tmp_path, "tiny", "scaler.onnx", endless)

    async def walk() -> None:
        server = Server(ServerConfig(models_dir=tmp_path, port=0, threads=1))
        starting = asyncio.ensure_future(server.start())
        await asyncio.to_thread(until, lambda: server.busy)
        await server.stop(grace=0)
        # Not refused, which it would be after a minute.
        await starting
        await asyncio.to_thread(until, lambda: not server.busy)
        assert server.models == []

    with caplog.at_level(logging.WARNING):
        asyncio.run(walk())
    assert caplog.records == []
