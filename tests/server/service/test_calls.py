"""Every request is told of: what came with it, what it asked for, and how it ended."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from server.bundles.held import holding
from server.bundles.tiny import draw_rows
from server.running.live import Running, RunServer, details
from support.waiting import GUARD_S, until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import GetModelRequest, ListModelsRequest, PredictRequest
from genrestack_server.call import Call
from genrestack_server.telemetry.observer import Observer

CODE = grpc.StatusCode


class Noted(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[Call] = []
        self.reasons: list[str] = []
        self._told = threading.Condition()

    def call_ended(self, call: Call) -> None:
        with self._told:
            self.ended.append(call)
            self._told.notify_all()

    def rejected(self, reason: str) -> None:
        self.reasons.append(reason)

    def wait(self, count: int) -> list[Call]:
        """Wait until this many calls have ended: an answer reaches its caller a moment before that is told."""
        with self._told:
            assert self._told.wait_for(lambda: len(self.ended) >= count, timeout=GUARD_S), self.ended
            return self.ended


@pytest.fixture
def noted(tiny_server: Running) -> Iterator[Noted]:
    yield from _noting(tiny_server)


def _noting(running: Running) -> Iterator[Noted]:
    assert running.server is not None
    noted = Noted()
    running.server.observers.add(noted)
    yield noted


def one(**fields: Any) -> PredictRequest:
    return PredictRequest(rows=to_matrix(draw_rows(3)), **fields)


def test_an_answered_call(tiny_server: Running, noted: Noted) -> None:
    before = time.monotonic()
    metadata = (("x-request-id", "abc"), ("traceparent", "00-1-2-01"), ("genrestack-priority", "high"))
    tiny_server.stub.Predict(one(), timeout=60, metadata=metadata)
    (call,) = noted.wait(1)
    assert (call.method, call.request_id, call.traceparent, call.high_priority) == ("Predict", "abc", "00-1-2-01", True)
    assert (call.model, call.version, call.rows, call.code) == ("tiny", 2, 3, CODE.OK)
    assert before <= call.began <= call.ended <= time.monotonic()
    assert call.deadline is not None
    # A busy machine may take the call up a while after it was made, and gRPC rounds long deadlines up.
    assert before < call.deadline <= call.ended + 61
    assert noted.reasons == []


def test_a_call_that_says_nothing_of_itself(tiny_server: Running, noted: Noted) -> None:
    tiny_server.stub.Predict(one(), metadata=(("genrestack-priority", "normal"),))
    tiny_server.stub.Predict(one())
    first, second = noted.wait(2)
    assert (first.deadline, first.traceparent, first.high_priority) == (None, None, False)
    assert len(first.request_id) == len(second.request_id) == 16
    assert first.request_id != second.request_id


def test_an_overlong_request_id_is_cut(tiny_server: Running, noted: Noted) -> None:
    tiny_server.stub.Predict(one(), metadata=(("x-request-id", "x" * 1000),))
    assert noted.wait(1)[0].request_id == "x" * 128


def test_an_unknown_priority_is_refused(tiny_server: Running, noted: Noted) -> None:
    metadata = (("genrestack-priority", "asap"),)
    with pytest.raises(grpc.RpcError) as unary:
        tiny_server.stub.Predict(one(), metadata=metadata)
    with pytest.raises(grpc.RpcError) as stream:
        list(tiny_server.stub.PredictStream(iter([one()]), metadata=metadata))
    for refused in (unary.value, stream.value):
        assert details(refused) == [("genrestack-priority", "there is no priority 'asap'; use one of: high, normal")]
    assert [(call.method, call.code) for call in noted.wait(2)] == [
        ("Predict", CODE.INVALID_ARGUMENT),
        ("PredictStream", CODE.INVALID_ARGUMENT),
    ]


def test_each_item_of_a_stream_is_a_call(tiny_server: Running, noted: Noted) -> None:
    requests = [one(), one(model="rock"), PredictRequest(), one(version=2)]
    list(tiny_server.stub.PredictStream(iter(requests), timeout=30, metadata=(("x-request-id", "abc"),)))
    calls = noted.wait(4)
    assert {(call.method, call.request_id) for call in calls} == {("PredictStream", "abc")}
    assert sorted((call.model, call.version, call.rows, call.code.name) for call in calls) == [
        ("", 0, 0, "NOT_FOUND"),
        ("tiny", 2, 0, "INVALID_ARGUMENT"),
        ("tiny", 2, 3, "OK"),
        ("tiny", 2, 3, "OK"),
    ]


def test_the_other_methods(tiny_server: Running, noted: Noted) -> None:
    tiny_server.stub.ListModels(ListModelsRequest())
    tiny_server.stub.GetModel(GetModelRequest(version=2))
    with pytest.raises(grpc.RpcError):
        tiny_server.stub.GetModel(GetModelRequest(model="rock"))
    assert [(call.method, call.model, call.version, call.code) for call in noted.wait(3)] == [
        ("ListModels", "", 0, CODE.OK),
        ("GetModel", "tiny", 2, CODE.OK),
        ("GetModel", "", 0, CODE.NOT_FOUND),
    ]


def test_a_caller_that_stops_waiting(run_server: RunServer, tiny_models: Path) -> None:
    with run_server(tiny_models, max_batch_rows=1000) as running, holding(running, "tiny"):
        noted = next(_noting(running))
        busy = running.stub.Predict.future(PredictRequest(rows=to_matrix(draw_rows(1000))))
        _until(running, in_flight=1, queue_rows=0)
        left = running.stub.Predict.future(one())
        _until(running, in_flight=2, queue_rows=3)
        left.cancel()
        (cancelled,) = noted.wait(1)
        assert (cancelled.code, cancelled.rows, cancelled.batch_rows) == (CODE.CANCELLED, 3, 0)
        assert noted.reasons == ["cancelled"]
        _until(running, in_flight=1, queue_rows=0)
        busy.cancel()


def _until(running: Running, *, in_flight: int, queue_rows: int) -> None:
    server = running.server
    assert server is not None
    until(lambda: (server.engine.admission.in_flight, server.engine.batcher.waiting_rows) == (in_flight, queue_rows))
