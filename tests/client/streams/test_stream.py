"""Streams: in order, bounded, taken up again after a break, and gone when closed."""

import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import grpc
import numpy as np
import pytest
from client.servicer import Script, answer, failure, probabilities, retry_info, serving
from support.waiting import GUARD_S

from genrestack import (
    Client,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Prediction,
    RetryOptions,
    Unavailable,
)
from genrestack_proto.v1 import prediction_pb2 as pb

Code = grpc.StatusCode
Batch = np.ndarray[Any, np.dtype[np.float32]]


def made_batches(number: int, rows: int = 3) -> list[Batch]:
    return list(np.random.default_rng(11).normal(size=(number, rows, 3)).astype(np.float32))


def check(predictions: Any, batches: list[Batch]) -> None:
    for prediction, batch in zip(predictions, batches, strict=True):
        np.testing.assert_array_equal(prediction.probabilities, probabilities(batch))


@pytest.mark.parametrize("in_flight", [1, 3, 100])
def test_answers_come_in_order(scripted: Client, in_flight: int) -> None:
    batches = made_batches(30)
    check(scripted.predict_stream(batches, in_flight=in_flight), batches)


def test_no_batches_no_answers(scripted: Client) -> None:
    assert list(scripted.predict_stream([])) == []


@pytest.mark.parametrize("in_flight", [1, 4])
def test_batches_are_fetched_no_further_than_the_bound_in_the_callers_thread(scripted: Client, in_flight: int) -> None:
    fetched = 0
    threads = set()

    def endless() -> Iterator[Batch]:
        nonlocal fetched
        for _ in count():
            fetched += 1
            threads.add(threading.get_ident())
            yield np.zeros((1, 3), dtype=np.float32)

    stream = scripted.predict_stream(endless(), in_flight=in_flight)
    for taken in range(1, 30):
        next(stream)
        assert fetched <= taken + in_flight
    stream.close()
    assert threads == {threading.get_ident()}


def test_an_answer_does_not_wait_for_a_slow_source(scripted: Client) -> None:
    fetched = 0

    def slow() -> Iterator[Batch]:
        nonlocal fetched
        for batch in made_batches(20_000):
            fetched += 1
            yield batch
            time.sleep(0.01)

    stream = scripted.predict_stream(slow(), in_flight=20_000)
    next(stream)
    assert fetched < 20_000
    stream.close()


@pytest.mark.usefixtures("no_threads_left")
def test_closing_early_cancels_the_call(script: Script) -> None:
    with serving(script) as target, Client(target) as client:
        stream = client.predict_stream(np.zeros((1, 3)) for _ in count())
        next(stream)
        stream.close()
        assert script.cancelled.wait(GUARD_S)


@pytest.mark.usefixtures("no_threads_left")
def test_what_the_source_raises_is_raised(script: Script) -> None:
    def broken() -> Iterator[Batch]:
        yield from made_batches(2)
        raise OSError("disk gone")

    with serving(script) as target, Client(target) as client, pytest.raises(OSError, match="disk gone"):
        list(client.predict_stream(broken()))


def test_a_faulty_item_raises_in_its_turn(scripted: Client, script: Script) -> None:
    batches: list[Any] = [*made_batches(2), [[1, 2, float("nan")]], *made_batches(2)]
    stream = scripted.predict_stream(batches)
    check([next(stream), next(stream)], batches[:2])
    with pytest.raises(InvalidInput, match=r"batch 2: rows\[0\]\[2\]: column 2 of row 0 is NaN"):
        next(stream)
    assert list(stream) == []


def test_faulty_items_can_be_returned_and_the_stream_goes_on(scripted: Client, script: Script) -> None:
    def respond(request: pb.PredictRequest) -> pb.PredictResponse:
        if len(script.requests) == 4:
            script.failures = [failure(Code.NOT_FOUND, "no such model")]
        return answer(request)

    script.respond = respond
    batches: list[Any] = [*made_batches(2), [["x"]], *made_batches(4)]
    outcomes = list(scripted.predict_stream(batches, on_error="return"))
    assert [type(o) for o in outcomes] == [
        Prediction,
        Prediction,
        InvalidInput,
        Prediction,
        Prediction,
        NotFound,
        Prediction,
    ]


def test_an_item_the_server_puts_off_is_asked_again(scripted: Client, script: Script) -> None:
    script.failures = [failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(0.05)), failure(Code.UNAVAILABLE)]
    batches = made_batches(5)
    check(scripted.predict_stream(batches), batches)


def test_a_broken_stream_is_taken_up_where_it_broke(scripted: Client, script: Script) -> None:
    script.stream_breaks = [failure(Code.UNAVAILABLE, "restarting")] * 3
    batches = made_batches(10)
    check(scripted.predict_stream(batches, in_flight=4), batches)
    assert script.stream_breaks == []


def test_a_server_that_restarts_is_waited_for(script: Script) -> None:
    batches = made_batches(8)
    patient = RetryOptions(attempts=100, initial_backoff=0.02, max_backoff=0.1)
    with serving(script) as target:
        client = Client(target, retry=patient)
        stream = client.predict_stream(batches, in_flight=2)
        first = [next(stream), next(stream)]
    with client, serving(script, port=int(target.rpartition(":")[2])):
        check([*first, *stream], batches)


def test_a_broken_stream_that_stays_broken_raises_even_if_errors_are_returned(scripted: Client, script: Script) -> None:
    script.stream_breaks = [failure(Code.PERMISSION_DENIED)]
    with pytest.raises(PermissionDenied):
        list(scripted.predict_stream(made_batches(3), on_error="return"))


@pytest.mark.usefixtures("no_threads_left")
def test_an_answer_that_takes_too_long_ends_the_stream(script: Script) -> None:
    script.hold()
    with serving(script) as target, Client(target) as client, pytest.raises(DeadlineExceeded):
        list(client.predict_stream(made_batches(2), timeout=0.1))


def test_batches_over_the_limit_are_split_in_their_turn(script: Script) -> None:
    batches = [*made_batches(2), *made_batches(1, rows=50), *made_batches(2)]
    with serving(script) as target, Client(target, max_message_rows=10) as client:
        check(client.predict_stream(batches), batches)


def test_nothing_there_is_said_so() -> None:
    client = Client("127.0.0.1:1", retry=RetryOptions(attempts=2, initial_backoff=0.01))
    with client, pytest.raises(Unavailable, match="nothing answers"):
        list(client.predict_stream(made_batches(1)))


@pytest.mark.parametrize("settings", [{"in_flight": 0}, {"on_error": "ignore"}, {"timeout": 0}, {"version": 0}])
def test_arguments_are_checked_before_the_first_batch(scripted: Client, settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        scripted.predict_stream([], **settings)
