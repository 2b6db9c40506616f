"""The batcher over real sessions: who shares an execution, who is computed when, and whose answers are whose."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from server.bundles.held import Held, holding
from server.bundles.tiny import TinyStack, draw_rows
from server.inference.bench import Bench, Counted, altered, on_bench, same
from server.running.live import RunServer
from server.running.watching import advance
from support.waiting import until

from genrestack_bundle import Answer
from genrestack_proto.matrix import FloatMatrix, from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse
from genrestack_server.call import Call
from genrestack_server.errors import Draining, InvalidInput, QueueFull
from genrestack_server.models.registry import ServedModel

POISON = 12345.0
DELAY_S = 10.0
"""As long as is allowed; nobody waits for it."""


@pytest.mark.parametrize("batching", [True, False], ids=["shared", "alone"])
def test_everybody_gets_exactly_their_own_answers(tiny: ServedModel, older: ServedModel, batching: bool) -> None:
    sizes = [1, 3, 64, 1, 65, 700, 2, 1, 1, 128, 5, 1] * 4
    asked = [(older if turn % 3 == 0 else tiny, draw_rows(size, turn)) for turn, size in enumerate(sizes)]

    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(served, rows, high_priority=turn % 5 == 0) for turn, (served, rows) in enumerate(asked)]
        for (served, rows), answer in zip(asked, await asyncio.gather(*tasks), strict=True):
            same(answer, served, rows)
        executions = bench.counted.executions
        assert sum(rows for _, rows, _ in executions) == sum(sizes)
        assert max(rows for _, rows, _ in executions) <= 64
        assert {version for version, _, _ in executions} == {1, 2}
        assert (max(requests for _, _, requests in executions) > 1) == batching
        assert bench.batcher.waiting_rows == 0

    on_bench(walk, max_batch_rows=64, batching=batching)


def test_what_arrives_during_an_execution_shares_the_next(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(held.served, draw_rows(50))
        await held.begun()
        calls = [Call("Predict", rows=2) for _ in range(5)]
        others = [asyncio.ensure_future(bench.batcher.run(held.served, draw_rows(2), call)) for call in calls]
        await bench.until_waiting(10)
        held.free()
        await asyncio.gather(first, *others)
        assert bench.counted.executions == [(2, 50, 1), (2, 10, 5)]
        for call in calls:
            assert call.batch_rows == 10
            assert call.queued_s > 0
            assert call.compute_s > 0

    on_bench(walk)


def test_a_quick_run_that_is_alone_stays_on_the_loop_and_others_do_not(tiny: ServedModel) -> None:
    threads: list[str] = []

    def run(rows: FloatMatrix) -> Answer:
        threads.append(threading.current_thread().name)
        return tiny.session.run(rows)

    async def walk(bench: Bench) -> None:
        served = replace(altered(tiny, run), inline_max_rows=20)
        await bench.ask(served, draw_rows(1))
        await bench.ask(served, draw_rows(21))
        await asyncio.gather(*(bench.ask(served, draw_rows(1)) for _ in range(2)))

    on_bench(walk, max_batch_rows=2**20)
    assert threads[0] == threading.current_thread().name
    assert all(name.startswith("genrestack-run") for name in threads[1:])
    assert len(threads) == 3


def test_single_rows_are_answered_while_a_huge_request_runs(run_server: RunServer, tiny_models: Path) -> None:
    ended: list[str] = []
    rows = draw_rows(65_536)
    with run_server(tiny_models) as running, holding(running, "tiny") as held:
        huge = running.stub.Predict.future(PredictRequest(rows=to_matrix(rows)))
        huge.add_done_callback(lambda _: ended.append("huge"))
        held.wait()
        singles = [running.stub.Predict.future(PredictRequest(rows=to_matrix(rows[:1]))) for _ in range(20)]
        for single in singles:
            single.add_done_callback(lambda _: ended.append("single"))
        assert running.server is not None
        gate = running.server.engine.admission
        until(lambda: gate.in_flight == 21, "they do not arrive")
        # The huge one has begun two executions and its turn for a third; theirs is the next.
        held.allow(4)
        for single in singles:
            assert len(single.result().labels) == 1
        assert not huge.done()
        held.free()
        answer = from_matrix(huge.result().probabilities)
        until(lambda: len(ended) == 21)
    assert ended == ["single"] * 20 + ["huge"]
    np.testing.assert_allclose(answer, TinyStack.draw().predict_proba(rows), atol=1e-6)


def test_the_urgent_overtake(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(held.served, draw_rows(10), name) for name in ("first", "a", "b", "c")]
        await held.begun()
        await bench.until_waiting(20)
        tasks.append(bench.ask(held.served, draw_rows(10), "urgent", high_priority=True))
        await bench.until_waiting(30)
        held.free()
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
        with pytest.raises(InvalidInput) as refused:
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


def test_a_full_queue_says_when_to_come_back(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(held.served, draw_rows(20))]
        await held.begun()
        tasks += [bench.ask(held.served, draw_rows(6)), bench.ask(held.served, draw_rows(4))]
        await bench.until_waiting(10)
        with pytest.raises(QueueFull, match=r"10 rows wait already, the limit is 10 \(--max-queue-rows\)") as full:
            await bench.ask(held.served, draw_rows(1))
        # Nothing is known yet of how long rows take.
        assert full.value.retry_after == 1.0
        held.free()
        await asyncio.gather(*tasks)
        tasks = [bench.ask(held.served, draw_rows(20)) for _ in range(2)]
        with pytest.raises(QueueFull) as measured:
            await bench.ask(held.served, draw_rows(1))
        assert 0.02 <= measured.value.retry_after <= 5.0
        await asyncio.gather(*tasks, return_exceptions=True)

    on_bench(walk, max_queue_rows=10)


def test_an_empty_queue_takes_a_request_larger_than_itself(tiny: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        same(await bench.ask(tiny, draw_rows(50)), tiny, draw_rows(50))

    on_bench(walk, max_queue_rows=10)


def test_the_patient_wait_for_room_in_the_order_they_came(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(held.served, draw_rows(10), "first")]
        await held.begun()
        tasks += [bench.ask(held.served, draw_rows(9), name, backpressured=True) for name in ("a", "b", "gone", "c")]
        await bench.until_waiting(9)
        with pytest.raises(QueueFull):
            await bench.ask(held.served, draw_rows(1))
        tasks.pop(3).cancel()
        held.free()
        await asyncio.gather(*tasks)
        assert bench.finished == ["first", "a", "b", "c"]
        assert bench.counted.executions == [(2, 10, 1), (2, 9, 1), (2, 9, 1), (2, 9, 1)]

    on_bench(walk, max_queue_rows=10, max_batch_rows=10)


def test_a_delay_lets_others_join(tiny: ServedModel) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(tiny, draw_rows(1))]
        await bench.until_waiting(1)
        tasks.append(bench.ask(tiny, draw_rows(2)))
        await bench.until_waiting(3)
        assert bench.counted.executions == []
        await advance(DELAY_S)
        await asyncio.gather(*tasks)
        # A full batch and urgent requests do not wait.
        await bench.ask(tiny, draw_rows(4))
        high_priority = bench.ask(tiny, draw_rows(1), "urgent", high_priority=True)
        await asyncio.gather(bench.ask(tiny, draw_rows(3), "normal"), high_priority)
        assert bench.counted.executions == [(2, 3, 2), (2, 4, 1), (2, 4, 2)]

    on_bench(walk, max_queue_delay=DELAY_S, max_batch_rows=4)


def test_closing_fails_what_waits(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        tasks = [bench.ask(held.served, draw_rows(30)), bench.ask(held.served, draw_rows(30))]
        tasks += [bench.ask(held.served, draw_rows(30), backpressured=True)]
        await held.begun()
        bench.batcher.close()
        held.free()
        for task in tasks:
            with pytest.raises(Draining):
                await task

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
