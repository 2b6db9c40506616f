"""Servers without PredictStream: `predict_stream` asks for each batch by a call of its own; nothing else changes."""

import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import grpc
import numpy as np
import pytest
from client.both_clients import BOTH_CLIENTS
from client.conftest import QUICK
from client.servicer import Script, answer, bad_request, failure, retry_info, serving
from client.streams.test_stream import Batch, check, made_batches
from google.rpc import status_pb2
from support.waiting import GUARD_S

from genrestack import (
    Cancelled,
    Client,
    ClientClosed,
    DeadlineExceeded,
    InvalidInput,
    Prediction,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from genrestack_proto.matrix import from_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

Code = grpc.StatusCode


@pytest.fixture
def target(script: Script) -> Iterator[str]:
    with serving(script, streams=False) as address:
        yield address


@pytest.fixture(params=BOTH_CLIENTS, ids=["blocking", "awaited"])
def client(request: pytest.FixtureRequest, target: str) -> Iterator[Client]:
    make: Callable[..., Client] = request.param
    with make(target, retry=QUICK) as made:
        yield made


def is_number(number: int) -> Callable[[pb.PredictRequest], bool]:
    return lambda request: bool((from_matrix(request.rows) == number).all())


def numbered(batches: int) -> list[Batch]:
    return [np.full((2, 3), number, dtype=np.float32) for number in range(batches)]


@pytest.mark.parametrize("in_flight", [1, 3, 100])
def test_answers_come_in_order_and_no_batch_is_lost_or_fetched_twice(
    client: Client, script: Script, in_flight: int
) -> None:
    batches, fetched = made_batches(30), []

    def source() -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            fetched.append(number)
            yield batch

    check(client.predict_stream(source(), in_flight=in_flight), batches)
    assert fetched == list(range(30))
    assert len(script.requests) == 30


def test_the_client_remembers(client: Client, script: Script) -> None:
    for _ in range(3):
        check(client.predict_stream(made_batches(4)), made_batches(4))
    assert script.refused == ["PredictStream"]


def test_as_many_calls_at_once_as_may_be_in_flight(client: Client, script: Script) -> None:
    busy, most, lock, together = 0, 0, threading.Lock(), threading.Event()

    def counted(request: pb.PredictRequest) -> pb.PredictResponse:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            if busy == 3:
                together.set()
        # Three meet here, or the test fails below; those after them do not wait.
        together.wait(GUARD_S)
        with lock:
            busy -= 1
        return answer(request)

    check(client.predict_stream(made_batches(1)), made_batches(1))
    script.respond = counted
    check(client.predict_stream(made_batches(12), in_flight=3), made_batches(12))
    assert most == 3


@pytest.mark.parametrize("in_flight", [1, 4])
def test_batches_are_fetched_no_further_than_the_bound(client: Client, in_flight: int) -> None:
    fetched = 0

    def endless() -> Iterator[Batch]:
        nonlocal fetched
        for _ in count():
            fetched += 1
            yield np.zeros((1, 3), dtype=np.float32)

    stream = client.predict_stream(endless(), in_flight=in_flight)
    for taken in range(1, 30):
        next(stream)
        assert fetched <= taken + in_flight
    stream.close()


def test_a_failure_stays_that_of_its_batch(client: Client, script: Script) -> None:
    def refuse_2(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        refused = failure(Code.INVALID_ARGUMENT, "row 1 is odd", bad_request(**{"rows[1]": "row 1 is odd"}))
        return refused if is_number(2)(request) else answer(request)

    script.respond = refuse_2
    batches: list[Any] = [*numbered(4), [["no", "number", "at all"]]]
    outcomes = list(client.predict_stream(batches, on_error="return"))
    assert [type(outcome) for outcome in outcomes] == [Prediction, Prediction, InvalidInput, Prediction, InvalidInput]
    assert str(outcomes[2]) == "batch 2: row 1 is odd"
    assert isinstance(outcomes[2], InvalidInput)
    assert outcomes[2].violations == (("rows[1]", "row 1 is odd"),)
    assert str(outcomes[4]).startswith("batch 4: ")
    with pytest.raises(InvalidInput, match="batch 2: row 1 is odd"):
        list(client.predict_stream(batches))


def test_what_a_full_queue_put_off_is_asked_again(client: Client, script: Script) -> None:
    script.failures += [failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(0.02))] * 3
    check(client.predict_stream(made_batches(8)), made_batches(8))


def test_a_server_that_is_away_for_a_moment_is_asked_again(client: Client, script: Script) -> None:
    script.failures += [failure(Code.UNAVAILABLE, "stopping")] * 3
    check(client.predict_stream(made_batches(8)), made_batches(8))
    assert len(script.requests) == 11


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_a_server_that_stays_away_ends_the_stream(client: Client, script: Script, on_error: Any) -> None:
    script.failures += [failure(Code.UNAVAILABLE, "stopping")] * 1000
    with pytest.raises(Unavailable, match="stopping"):
        list(client.predict_stream(made_batches(3), on_error=on_error))


def test_a_batch_over_the_servers_limit_is_halved(script: Script) -> None:
    with serving(script, message_bytes=3000, streams=False) as target:
        for make in BOTH_CLIENTS:
            with make(target, retry=QUICK) as client:
                batches = [*made_batches(2), *made_batches(1, rows=900), *made_batches(1)]
                check(client.predict_stream(batches), batches)


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_waiting_has_an_end(client: Client, script: Script, on_error: Any) -> None:
    script.hold()
    with pytest.raises(DeadlineExceeded, match=r"within 0\.1 s"):
        list(client.predict_stream(made_batches(3), timeout=0.1, on_error=on_error))


def test_each_answer_has_its_own_time(client: Client, script: Script) -> None:
    script.delay = 0.4
    # Together they take longer than any one of them may.
    check(client.predict_stream(made_batches(8), timeout=3, in_flight=1), made_batches(8))


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_who_is_not_let_in_is_not_for_any_batch(client: Client, script: Script, on_error: Any) -> None:
    check(client.predict_stream(made_batches(2)), made_batches(2))
    script.token = "another"
    with pytest.raises(Unauthenticated, match="wants a token"):
        list(client.predict_stream(made_batches(3), on_error=on_error))


def test_what_travels_beside_a_stream_travels_beside_each_call(client: Client, script: Script) -> None:
    list(client.predict_stream(made_batches(3), priority="high", request_id="mine"))
    assert [(m["genrestack-priority"], m["x-request-id"]) for m in script.metadata] == [("high", "mine")] * 3


def test_a_closed_stream_ends_its_calls(client: Client, script: Script) -> None:
    check(client.predict_stream(made_batches(2)), made_batches(2))
    script.delay = 0.3
    stream = client.predict_stream(made_batches(50), in_flight=6)
    next(stream)
    stream.close()
    # Those that are being answered, at most.
    assert len(script.requests) <= 2 + 6 + 1


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_a_closed_client_ends_its_streams(script: Script, target: str, on_error: Any) -> None:
    for make in BOTH_CLIENTS:
        with make(target) as client:
            stream = client.predict_stream(made_batches(20), in_flight=2, on_error=on_error)
            next(stream)
            client.close()
            # Cancelled, where one of its calls was not answered yet.
            with pytest.raises((ClientClosed, Cancelled), match="closed"):
                list(stream)


def test_a_server_that_speaks_something_else() -> None:
    from concurrent import futures

    server = grpc.server(pool := futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        for make in BOTH_CLIENTS:
            with make(f"127.0.0.1:{port}") as client, pytest.raises(Unsupported):
                list(client.predict_stream(made_batches(3), on_error="return"))
    finally:
        server.stop(0).wait()
        pool.shutdown()
