"""A full queue, over the wire: who is told to come back, who is slowed down, and that nobody admitted is forgotten."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from server.bundles.held import Held, holding
from server.bundles.tiny import TinyStack, draw_rows
from server.running.live import Running, RunServer
from server.service.test_calls import Noted
from support.waiting import GUARD_S, until

from genrestack import Client
from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest


def request(rows: int, seed: int = 1) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(rows, seed)))


def noting(running: Running) -> Noted:
    assert running.server is not None
    noted = Noted()
    running.server.observers.add(noted)
    return noted


def fill(running: Running, held: Held, rows: int, waiting: int) -> list[Any]:
    """Keep the server busy with some rows and let others wait."""
    calls = [running.stub.Predict.future(request(rows))]
    held.wait()
    calls.append(running.stub.Predict.future(request(waiting)))
    until_waiting(running, waiting)
    return calls


def until_waiting(running: Running, rows: int) -> None:
    """Wait until this many rows wait."""
    server = running.server
    assert server is not None
    until(lambda: server.engine.batcher.waiting_rows == rows)


def test_a_full_queue_tells_the_caller_when_to_come_back(run_server: RunServer, tiny_models: Path) -> None:
    with (
        run_server(tiny_models, max_queue_rows=100, max_batch_rows=1000) as running,
        holding(running, "tiny") as held,
    ):
        noted = noting(running)
        calls = fill(running, held, 500, 100)
        with pytest.raises(grpc.RpcError) as refused:
            running.stub.Predict(request(1))
        assert noted.wait(1)[0].code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert noted.reasons == ["queue_full"]
        status = rpc_status.from_call(refused.value)
        info = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert 0.02 <= info.retry_delay.ToTimedelta().total_seconds() <= 5
        assert "--max-queue-rows" in status.message
        held.free()
        assert [len(call.result().labels) for call in calls] == [500, 100]


def test_callers_that_come_back_when_told_are_all_answered(
    run_server: RunServer, tiny_models: Path, stack: TinyStack
) -> None:
    answered: list[bool] = []

    def caller(client: Client, number: int) -> None:
        rows = draw_rows(8, number)
        found = client.predict(rows, timeout=GUARD_S).probabilities
        answered.append(np.allclose(found, stack.predict_proba(rows), rtol=0, atol=1e-6))

    with (
        run_server(tiny_models, max_queue_rows=24, max_batch_rows=8) as running,
        holding(running, "tiny") as held,
    ):
        noted = noting(running)
        with Client(f"127.0.0.1:{running.port}") as client:
            threads = [threading.Thread(target=caller, args=(client, number)) for number in range(8)]
            for thread in threads:
                thread.start()
            # One or two executions of eight rows, room for three more: somebody is told to come back.
            until(lambda: noted.reasons)
            held.free()
            for thread in threads:
                thread.join()
    assert answered == [True] * 8
    assert noted.reasons
    assert set(noted.reasons) == {"queue_full"}


def test_a_stream_waits_for_room_while_others_are_refused(run_server: RunServer, tiny_models: Path) -> None:
    with run_server(tiny_models, max_queue_rows=20, max_batch_rows=20) as running, holding(running, "tiny") as held:
        sent = 0

        def requests() -> Iterator[PredictRequest]:
            nonlocal sent
            for number in range(12):
                sent += 1
                yield request(20, number)

        answers = running.stub.PredictStream(requests())
        # One is in work and one handed to the thread; one waits, and what is in the stream behind it waits outside.
        held.wait()
        until_waiting(running, 20)
        with pytest.raises(grpc.RpcError) as refused:
            running.stub.Predict(request(20))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        held.free()
        outcomes = list(answers)
        assert [answer.index for answer in outcomes] == list(range(12))
        for number, answer in enumerate(outcomes):
            expected = TinyStack.draw().predict_proba(draw_rows(20, number))
            np.testing.assert_allclose(from_matrix(answer.response.probabilities), expected, rtol=0, atol=1e-6)


def test_a_reader_that_stops_fills_neither_queue_nor_memory(run_server: RunServer, tiny_models: Path) -> None:
    with run_server(tiny_models, max_queue_rows=2000) as running:
        noted = noting(running)

        def requests() -> Iterator[PredictRequest]:
            while True:
                yield PredictRequest(rows=to_matrix(draw_rows(1000)), base=True)

        answers = running.stub.PredictStream(requests())
        next(answers)
        before, now = -1, len(noted.ended)
        while before != now:
            time.sleep(0.5)
            before, now = now, len(noted.ended)
        # What the transport buffers, at some 60 kB an answer, and no more.
        assert now < 2000
        assert running.server is not None
        assert running.server.engine.batcher.waiting_rows == 0
        assert len(running.stub.Predict(request(1)).labels) == 1
        answers.cancel()


def test_draining_answers_everybody_who_was_let_in(run_server: RunServer, tiny_models: Path) -> None:
    with run_server(tiny_models, max_queue_rows=100, max_batch_rows=101) as running, holding(running, "tiny") as held:
        calls = fill(running, held, 50, 100)
        stopped = running.stop(grace=GUARD_S)
        until(lambda: running.health() == "NOT_SERVING")
        held.free()
        assert [len(call.result().labels) for call in calls] == [50, 100]
        assert stopped.result() is True


def test_the_deadline_of_a_waiting_call_is_kept(run_server: RunServer, tiny_models: Path) -> None:
    with run_server(tiny_models, max_batch_rows=1000) as running, holding(running, "tiny") as held:
        noted = noting(running)
        busy = running.stub.Predict.future(request(1000))
        held.wait()
        waiting = running.stub.Predict.future(request(5), timeout=1)
        # Answered while the run goes on.
        with pytest.raises(grpc.RpcError) as late:
            waiting.result()
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert not busy.done()
        until_waiting(running, 0)
        held.free()
        assert len(busy.result().labels) == 1000
        calls = noted.wait(2)
    # The five rows were never computed, if they came to wait at all before their second had passed.
    assert [call.batch_rows for call in calls if call.code is grpc.StatusCode.OK] == [1000]
    assert [call.batch_rows for call in calls if call.code is not grpc.StatusCode.OK] == [0]
