"""Batches in, batches out, in order, with a bound on what is in flight."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from server.bundles.tiny import TinyStack, draw_rows
from server.running.live import Running, violations
from support.waiting import GUARD_S

from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictStreamResponse
from genrestack_server.rpc.streaming import pipelined


def test_answers_in_order(tiny_server: Running, stack: TinyStack) -> None:
    batches = [draw_rows(1 + number % 7, number) for number in range(40)]
    answers = list(tiny_server.stub.PredictStream(PredictRequest(rows=to_matrix(rows)) for rows in batches))
    assert [answer.index for answer in answers] == list(range(40))
    for answer, rows in zip(answers, batches, strict=True):
        found = from_matrix(answer.response.probabilities)
        np.testing.assert_allclose(found, stack.predict_proba(rows), atol=1e-6)


def test_an_item_that_fails_carries_its_own_status(tiny_server: Running) -> None:
    good = PredictRequest(rows=to_matrix(draw_rows(2)))
    bad = PredictRequest(rows=to_matrix(np.full((1, 4), np.nan, dtype=np.float32)))
    unknown = PredictRequest(model="rock", rows=good.rows)
    answers = list(tiny_server.stub.PredictStream(iter([good, bad, good, unknown, PredictRequest(), good])))
    outcomes = [answer.WhichOneof("outcome") for answer in answers]
    assert outcomes == ["response", "error", "response", "error", "error", "response"]
    assert answers[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert violations(answers[1].error)[0][0] == "rows[0].chroma"
    assert answers[3].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert violations(answers[4].error)[0][0] == "rows"


def test_an_empty_stream_ends(tiny_server: Running) -> None:
    assert list(tiny_server.stub.PredictStream(iter([]))) == []


def test_a_sender_whose_answers_are_not_read_is_slowed_down(tiny_server: Running) -> None:
    sent = 0
    many = 5000

    def requests() -> Iterator[PredictRequest]:
        nonlocal sent
        for _ in range(many):
            sent += 1
            yield PredictRequest(rows=to_matrix(draw_rows(500)), base=True)

    call = tiny_server.stub.PredictStream(requests())
    next(call)
    idle = threading.Event()
    held = -1
    while held != sent:
        held = sent
        idle.wait(0.3)
    assert held < many
    call.cancel()


def test_a_caller_that_vanishes_leaves_nothing_in_flight(tiny_server: Running) -> None:
    call = tiny_server.stub.PredictStream(PredictRequest(rows=to_matrix(draw_rows(10))) for _ in range(100_000))
    next(call)
    call.cancel()
    assert tiny_server.server is not None
    assert tiny_server.loop is not None
    gate = tiny_server.server.engine.admission
    assert asyncio.run_coroutine_threadsafe(gate.wait_idle(GUARD_S), tiny_server.loop).result(GUARD_S)


def test_pipeline_bounds_what_is_in_work() -> None:
    working = most = read = 0

    async def numbers() -> AsyncIterator[int]:
        nonlocal read
        for number in range(50):
            read = number
            yield number

    async def work(number: int) -> int:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.001 * (number % 3))
        working -= 1
        return number

    async def collect() -> list[int]:
        answers = []
        async for answer in pipelined(numbers(), work, depth=4):
            answers.append(answer)
            assert read <= answer + 4
        return answers

    assert asyncio.run(collect()) == list(range(50))
    assert most == 4


def test_pipeline_passes_on_what_its_source_raises() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("gone")

    async def work(number: int) -> int:
        return number

    async def collect() -> None:
        async for _ in pipelined(broken(), work, depth=2):
            pass

    with pytest.raises(ConnectionError):
        asyncio.run(collect())


def test_bytes_that_are_no_message_fail_alone(tiny_server: Running) -> None:
    good = PredictRequest(rows=to_matrix(draw_rows(1))).SerializeToString()
    method = "/genrestack.v1.PredictionService/PredictStream"
    call: Any = tiny_server.channel.stream_stream(method)
    bad_answer, good_answer = map(PredictStreamResponse.FromString, call(iter([b"\xff\xff", good])))
    assert violations(bad_answer.error)[0][0] == "request"
    assert len(good_answer.response.labels) == 1
