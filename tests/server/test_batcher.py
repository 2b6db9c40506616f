"""The batcher over real sessions: who shares an execution, who is computed when, and whose answers are whose."""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from server.bench import Bench, Counted, altered, on_bench, same
from server.live import RunServer
from server.tiny_bundle import TinyStack, draw_rows, write_tiny

from genrestack_bundle import Answer
from genrestack_proto.matrix import FloatMatrix, from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse
from genrestack_server.calls import Call
from genrestack_server.config import ServerConfig
from genrestack_server.errors import DeadlinePassedError, DrainingError, InvalidRequestError, QueueFullError
from genrestack_server.loading import load_version
from genrestack_server.registry import ServedModel

POISON = 12345.0


@pytest.fixture(scope="module")
def tiny(tiny_models: Path) -> ServedModel:
    return load_version("tiny", 2, ServerConfig(models_dir=tiny_models, threads=1))


@pytest.fixture(scope="module")
def older(tiny_models: Path) -> ServedModel:
    return load_version("tiny", 1, ServerConfig(models_dir=tiny_models, threads=1))


@pytest.fixture(scope="module")
def slow(slow_models: Path) -> ServedModel:
    """About a millisecond a row."""
    return load_version("slow", 1, ServerConfig(models_dir=slow_models, threads=1))


@pytest.mark.parametrize("batching", [True, False], ids=["shared", "alone"])
def test_everybody_gets_exactly_their_own_answers(tiny: ServedModel, older: ServedModel, batching: bool) -> None:
    sizes = [1, 3, 64, 1, 65, 700, 2, 1, 1, 128, 5, 1] * 4
    asked = [(older if turn % 3 == 0 else tiny, draw_rows(size, turn)) for turn, size in enumerate(sizes)]

    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(served, rows, urgent=turn % 5 == 0) for turn, (served, rows) in enumerate(asked)]
        for (served, rows), answer in zip(asked, await asyncio.gather(*tasks), strict=True):
            same(answer, served, rows)
        executions = bench.counted.executions
        assert sum(rows for _, rows, _ in executions) == sum(sizes)
        assert max(rows for _, rows, _ in executions) <= 64
        assert {version for version, _, _ in executions} == {1, 2}
        assert (max(requests for _, _, requests in executions) > 1) == batching
        assert bench.batcher.waiting_rows == 0

    on_bench(walk, max_batch_rows=64, batching=batching)


def test_what_arrives_during_an_execution_shares_the_next(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(slow, draw_rows(50))
        await asyncio.sleep(0.01)
        calls = [Call("Predict", rows=2) for _ in range(5)]
        await asyncio.gather(first, *(bench.batcher.run(slow, draw_rows(2), call) for call in calls))
        assert bench.counted.executions == [(1, 50, 1), (1, 10, 5)]
        for call in calls:
            assert call.batch_rows == 10
            assert 0 < call.queued_s < 10
            assert 0 < call.compute_s < 10

    on_bench(walk)


def test_a_quick_run_that_is_alone_stays_on_the_loop_and_others_do_not(tiny: ServedModel) -> None:
    assert tiny.quick_rows > 0
    threads: list[str] = []

    def run(rows: FloatMatrix) -> Answer:
        threads.append(threading.current_thread().name)
        return tiny.session.run(rows)

    async def walk(bench: Bench) -> None:
        served = altered(tiny, run)
        await bench.ask(served, draw_rows(1))
        await bench.ask(served, draw_rows(tiny.quick_rows + 1))
        await asyncio.gather(*(bench.ask(served, draw_rows(1)) for _ in range(2)))

    on_bench(walk, max_batch_rows=2**20)
    assert threads[0] == threading.current_thread().name
    assert all(name.startswith("genrestack-run") for name in threads[1:])
    assert len(threads) == 3


def test_single_rows_are_answered_while_a_huge_request_runs(run_server: RunServer, tmp_path: Path) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw(), slow=6)
    rows = draw_rows(65_536)
    with run_server(tmp_path) as running:
        huge = running.stub.Predict.future(PredictRequest(rows=to_matrix(rows)))
        singles = 0
        while not huge.done():
            running.stub.Predict(PredictRequest(rows=to_matrix(rows[:1])))
            singles += not huge.done()
        answer = from_matrix(huge.result().probabilities)
    assert singles >= 20
    np.testing.assert_allclose(answer, TinyStack.draw().predict_proba(rows), atol=1e-6)


def test_rows_whose_deadline_passes_while_they_wait_are_not_computed(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(slow, draw_rows(200))
        await asyncio.sleep(0.01)
        late = bench.ask(slow, draw_rows(3), deadline=time.monotonic() + 0.01)
        patient = bench.ask(slow, draw_rows(2), deadline=time.monotonic() + 60)
        with pytest.raises(DeadlinePassedError, match="allow more time"):
            await late
        await asyncio.gather(first, patient)
        assert bench.counted.executions == [(1, 200, 1), (1, 2, 1)]

    on_bench(walk, max_batch_rows=200)


def test_the_rest_of_a_large_request_is_not_computed_once_its_deadline_has_passed(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        with pytest.raises(DeadlinePassedError):
            await bench.ask(slow, draw_rows(1000), deadline=time.monotonic() + 0.05)
        assert 0 < sum(rows for _, rows, _ in bench.counted.executions) < 1000
        assert bench.batcher.waiting_rows == 0

    on_bench(walk, max_batch_rows=10)


def test_what_is_cancelled_while_it_waits_is_not_computed(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(slow, draw_rows(100))
        await asyncio.sleep(0.01)
        left, stays = bench.ask(slow, draw_rows(3)), bench.ask(slow, draw_rows(2))
        await asyncio.sleep(0)
        assert bench.batcher.waiting_rows == 5
        left.cancel()
        await asyncio.gather(first, stays)
        assert left.cancelled()
        assert bench.counted.executions == [(1, 100, 1), (1, 2, 1)]

    on_bench(walk, max_batch_rows=100)


def test_a_large_request_that_is_cancelled_leaves_the_rest_of_its_rows(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        huge = bench.ask(slow, draw_rows(1000))
        await bench.ask(slow, draw_rows(1))
        huge.cancel()
        await bench.ask(slow, draw_rows(1))
        assert sum(rows for _, rows, _ in bench.counted.executions) < 100
        assert bench.batcher.waiting_rows == 0

    on_bench(walk, max_batch_rows=10)


def test_the_urgent_overtake(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(slow, draw_rows(10), name) for name in ("first", "a", "b", "c")]
        await asyncio.sleep(0.005)
        tasks.append(bench.ask(slow, draw_rows(10), "urgent", urgent=True))
        await asyncio.gather(*tasks)
        # While the first ran, the thread was handed a whole execution more, so as to have no gap.
        assert bench.finished == ["first", "a", "urgent", "b", "c"]

    on_bench(walk, max_batch_rows=10)


def test_a_row_without_a_finite_answer_fails_its_own_request_alone(tiny: ServedModel) -> None:
    def run(rows: FloatMatrix) -> Answer:
        answer = tiny.session.run(rows)
        return replace(answer, probabilities=np.where(rows[:, :1] == POISON, np.nan, answer.probabilities))

    served = altered(tiny, run)
    bad = draw_rows(20)
    bad[13, 0] = bad[19, 0] = POISON

    async def walk(bench: Bench) -> None:
        good = [draw_rows(3), draw_rows(4)]
        before, failing, after = bench.ask(served, good[0]), bench.ask(served, bad), bench.ask(served, good[1])
        with pytest.raises(InvalidRequestError) as refused:
            await failing
        assert [violation.field for violation in refused.value.violations] == ["rows[13]", "rows[19]"]
        same(await before, tiny, good[0])
        same(await after, tiny, good[1])

    on_bench(walk)
    on_bench(walk, max_batch_rows=8)


def test_an_execution_that_fails_fails_its_own_requests_alone(tiny: ServedModel) -> None:
    def run(rows: FloatMatrix) -> Answer:
        if (rows[:, 0] == POISON).any():
            raise ZeroDivisionError
        return tiny.session.run(rows)

    served = altered(tiny, run)
    bad = draw_rows(30)
    bad[0, 0] = POISON

    async def walk(bench: Bench) -> None:
        failing = bench.ask(served, bad)
        with pytest.raises(ZeroDivisionError):
            await failing
        same(await bench.ask(served, draw_rows(5)), tiny, draw_rows(5))
        assert bench.batcher.waiting_rows == 0
        assert [rows for _, rows, _ in bench.counted.executions] == [10, 5]

    on_bench(walk, max_batch_rows=10)


def test_a_full_queue_says_when_to_come_back(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(slow, draw_rows(20))]
        await asyncio.sleep(0.005)
        tasks += [bench.ask(slow, draw_rows(6)), bench.ask(slow, draw_rows(4))]
        await asyncio.sleep(0)
        assert bench.batcher.waiting_rows == 10
        with pytest.raises(QueueFullError, match=r"10 rows wait already, the limit is 10 \(--max-queue-rows\)") as full:
            await bench.ask(slow, draw_rows(1))
        assert full.value.retry_after == 1.0
        await asyncio.gather(*tasks)
        tasks = [bench.ask(slow, draw_rows(20)) for _ in range(2)]
        with pytest.raises(QueueFullError) as measured:
            await bench.ask(slow, draw_rows(1))
        assert 0.02 <= measured.value.retry_after < 1.0
        await asyncio.gather(*tasks, return_exceptions=True)

    on_bench(walk, max_queue_rows=10)


def test_an_empty_queue_takes_a_request_larger_than_itself(tiny: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        same(await bench.ask(tiny, draw_rows(50)), tiny, draw_rows(50))

    on_bench(walk, max_queue_rows=10)


def test_the_patient_wait_for_room_in_the_order_they_came(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(slow, draw_rows(10), "first")]
        await asyncio.sleep(0.005)
        tasks += [bench.ask(slow, draw_rows(9), name, patient=True) for name in ("a", "b", "gone", "c")]
        await asyncio.sleep(0)
        assert bench.batcher.waiting_rows == 9
        with pytest.raises(QueueFullError):
            await bench.ask(slow, draw_rows(1))
        tasks.pop(3).cancel()
        await asyncio.gather(*tasks)
        assert bench.finished == ["first", "a", "b", "c"]
        assert bench.counted.executions == [(1, 10, 1), (1, 9, 1), (1, 9, 1), (1, 9, 1)]

    on_bench(walk, max_queue_rows=10, max_batch_rows=10)


def test_a_delay_lets_others_join(tiny: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(tiny, draw_rows(1))
        await asyncio.sleep(0.05)
        await asyncio.gather(first, bench.ask(tiny, draw_rows(2)))
        await asyncio.gather(bench.ask(tiny, draw_rows(4)))
        urgent = bench.ask(tiny, draw_rows(1), "urgent", urgent=True)
        await asyncio.gather(bench.ask(tiny, draw_rows(3), "normal"), urgent)
        assert bench.counted.executions == [(2, 3, 2), (2, 4, 1), (2, 4, 2)]

    began = time.monotonic()
    on_bench(walk, max_queue_delay=1.0, max_batch_rows=4)
    assert time.monotonic() - began >= 1.0


def test_closing_fails_what_waits(slow: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(slow, draw_rows(30)), bench.ask(slow, draw_rows(30))]
        tasks += [bench.ask(slow, draw_rows(30), patient=True)]
        await asyncio.sleep(0.005)
        bench.batcher.close()
        for task in tasks[1:]:
            with pytest.raises(DrainingError):
                await task
        with pytest.raises(DrainingError):
            await tasks[0]

    on_bench(walk, max_batch_rows=20, max_queue_rows=60)


def test_mixed_callers_over_the_wire(run_server: RunServer, tiny_models: Path, stack: TinyStack) -> None:
    sizes = [1, 1, 7, 1, 300, 1, 33, 1]
    wrong: list[str] = []

    def caller(number: int, channel: grpc.Channel) -> None:
        call: Any = channel.unary_unary("/genrestack.v1.PredictionService/Predict")
        for turn in range(20):
            rows = draw_rows(sizes[number % len(sizes)], number * 100 + turn)
            data = call(PredictRequest(rows=to_matrix(rows)).SerializeToString())
            answer = from_matrix(PredictResponse.FromString(data).probabilities)
            if not np.allclose(answer, stack.predict_proba(rows), rtol=0, atol=1e-6):
                wrong.append(f"caller {number}, turn {turn}")

    with run_server(tiny_models, max_batch_rows=64) as running:
        counted = Counted()
        assert running.server is not None
        running.server.observers.add(counted)
        threads = [threading.Thread(target=caller, args=(number, running.channel)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert max(requests for _, _, requests in counted.executions) > 1
