"""The client against a real port: answers, splitting, retries, deadlines, and a name for every failure."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from client.servicer import CLASSES, Script, answer, bad_request, failure, probabilities, retry_info, serving
from google.rpc import status_pb2
from support.waiting import GUARD_S, until

import genrestack
from genrestack import (
    Client,
    ClientClosed,
    DeadlineExceeded,
    GenreStackError,
    InvalidInput,
    NotFound,
    ProtocolError,
    QueueFull,
    ResourceExhausted,
    RetryOptions,
    Unavailable,
)
from genrestack.cli.demo.processes import free_port
from genrestack_proto.matrix import from_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

Code = grpc.StatusCode


def made_rows(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(7).normal(size=(count, 3)).astype(np.float32)


def test_a_prediction_holds_what_the_server_said(scripted: Client) -> None:
    rows = made_rows(5)
    prediction = scripted.predict(rows, base=True)
    np.testing.assert_array_equal(prediction.probabilities, probabilities(rows))
    np.testing.assert_array_equal(prediction.base["knn"], probabilities(rows))
    assert prediction.labels == [CLASSES[i] for i in probabilities(rows).argmax(axis=1)]
    assert (prediction.classes, prediction.model, prediction.version) == (CLASSES, "rule", 1)
    assert len(prediction) == 5
    assert prediction.probabilities.flags.writeable
    np.testing.assert_array_equal(scripted.predict_proba(rows), prediction.probabilities)
    assert scripted.predict(rows).base == {}


def test_a_prediction_becomes_a_table(scripted: Client) -> None:
    answered = scripted.predict(made_rows(2))
    frame = answered.to_frame()
    assert list(frame.columns) == ["label", *answered.classes]
    assert frame["label"].tolist() == answered.labels
    assert np.array_equal(frame[list(answered.classes)].to_numpy(), answered.probabilities)


def test_names_travel_and_decide_the_order(scripted: Client, script: Script) -> None:
    turned = scripted.predict({"c": [0.0], "b": [0.0], "a": [3.0]})
    assert turned.labels == ["high"]
    # The model's own names and order: another version's may differ, and its server then says so.
    assert list(script.requests[-1].feature_names) == ["a", "b", "c"]


def test_large_inputs_travel_in_several_messages(script: Script) -> None:
    rows = made_rows(1000)
    with serving(script) as target, Client(target, max_message_rows=70) as client:
        prediction = client.predict(rows, base=True)
    np.testing.assert_array_equal(prediction.probabilities, probabilities(rows))
    np.testing.assert_array_equal(prediction.base["knn"], probabilities(rows))
    assert [r.rows.shape[0] for r in script.requests[:1]] == [70]
    assert sum(r.rows.shape[0] for r in script.requests) == 1000
    # All but the first are pinned to the version that answered the first.
    assert {(r.model, r.version) for r in script.requests[1:]} == {("rule", 1)}
    assert script.requests[0].version == 0


def test_messages_stay_below_the_byte_limit(script: Script) -> None:
    with serving(script) as target, Client(target, max_message_bytes=4096) as client:
        assert len(client.predict(made_rows(2000))) == 2000
    assert max(r.ByteSize() for r in script.requests) <= 4096


def test_a_lower_limit_of_the_server_halves_the_messages(script: Script) -> None:
    rows = made_rows(500)
    with serving(script, message_bytes=3000) as target, Client(target) as client:
        np.testing.assert_array_equal(client.predict_proba(rows), probabilities(rows))
    with serving(script, message_bytes=3000) as target, Client(target) as client:
        (streamed,) = client.predict_stream([rows])
        np.testing.assert_array_equal(streamed.probabilities, probabilities(rows))


def test_a_version_that_goes_away_midway_is_replaced_for_the_whole_input(script: Script) -> None:
    def respond(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        gone = request.version == 1 and len(script.requests) > 1
        return failure(Code.NOT_FOUND, "version 1 is gone") if gone else answer(request, min(len(script.requests), 2))

    script.respond = respond
    with serving(script) as target, Client(target, max_message_rows=10) as client:
        prediction = client.predict(made_rows(15))
        assert (prediction.version, len(prediction)) == (2, 15)
        # A version that the caller named is not replaced by another.
        with pytest.raises(NotFound):
            client.predict(made_rows(15), version=1)


def test_a_fault_in_a_later_message_names_the_original_row(script: Script) -> None:
    rows = made_rows(40)
    rows[23] = 99

    def respond(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        bad = np.flatnonzero((from_matrix(request.rows) == 99).all(axis=1))
        if not bad.size:
            return answer(request)
        text = f"row {bad[0]} is odd"
        return failure(Code.INVALID_ARGUMENT, f"rows[{bad[0]}]: {text}", bad_request(**{f"rows[{bad[0]}]": text}))

    script.respond = respond
    with serving(script) as target, Client(target, max_message_rows=10) as client:
        with pytest.raises(InvalidInput, match=r"^rows\[23\]: row 23 is odd$") as caught:
            client.predict(rows)
        assert caught.value.violations == (("rows[23]", "row 23 is odd"),)
        with pytest.raises(InvalidInput, match=r"^rows\[3\]: row 3 is odd$"):
            client.predict(rows[20:])


def test_unavailable_is_tried_again(scripted: Client, script: Script) -> None:
    script.failures = [failure(Code.UNAVAILABLE)] * 2
    assert len(scripted.predict(made_rows(2))) == 2
    assert len(script.requests) == 3


def test_the_server_says_when_to_come_back(scripted: Client, script: Script) -> None:
    script.failures = [failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(0.3))]
    assert len(scripted.predict(made_rows(2))) == 2
    assert script.arrivals[1] - script.arrivals[0] >= 0.3


def test_attempts_are_bounded(scripted: Client, script: Script) -> None:
    script.failures = [failure(Code.UNAVAILABLE, "stopping")] * 9
    with pytest.raises(Unavailable, match="is not available: stopping"):
        scripted.predict(made_rows(2))
    assert len(script.requests) == RetryOptions().attempts


def test_a_wait_longer_than_the_deadline_is_not_waited(scripted: Client, script: Script) -> None:
    script.failures = [failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(60))]
    with pytest.raises(QueueFull, match="asked to be tried again after 60 s") as caught:
        scripted.predict(made_rows(2), timeout=5)
    assert caught.value.retry_after == 60
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (Code.INVALID_ARGUMENT, "InvalidInput"),
        (Code.NOT_FOUND, "NotFound"),
        (Code.RESOURCE_EXHAUSTED, "ResourceExhausted"),
        (Code.UNAUTHENTICATED, "Unauthenticated"),
        (Code.PERMISSION_DENIED, "PermissionDenied"),
        (Code.UNIMPLEMENTED, "Unsupported"),
        (Code.FAILED_PRECONDITION, "FailedPrecondition"),
        (Code.INTERNAL, "Internal"),
        (Code.UNKNOWN, "Internal"),
        (Code.DATA_LOSS, "Internal"),
    ],
)
def test_every_other_failure_has_a_name_and_is_not_repeated(
    scripted: Client, script: Script, code: grpc.StatusCode, name: str
) -> None:
    script.failures = [failure(code, "the reason")]
    with pytest.raises(getattr(genrestack, name), match="the reason") as caught:
        scripted.predict(made_rows(1))
    assert isinstance(caught.value, GenreStackError)
    assert len(script.requests) == 1


def test_one_deadline_covers_everything(script: Script) -> None:
    script.delay = 0.2
    with (
        serving(script) as target,
        Client(target, max_message_rows=1) as client,
        pytest.raises(DeadlineExceeded, match="longer timeout"),
    ):
        # Each message by itself is answered in time.
        client.predict(made_rows(100), timeout=0.5)


def test_nothing_there_is_said_so() -> None:
    target = f"127.0.0.1:{free_port(0)}"
    quick = RetryOptions(attempts=2, initial_backoff=0.01)
    with Client(target, retry=quick) as client, pytest.raises(Unavailable, match=f"nothing answers at {target}"):
        client.predict([[1]])


def test_a_server_that_comes_up_during_the_retries_answers(script: Script) -> None:
    port = free_port(0)
    client = Client(f"127.0.0.1:{port}", retry=RetryOptions(attempts=5000, initial_backoff=0.05, max_backoff=0.1))
    with client, ThreadPoolExecutor(1) as pool:
        answer_later = pool.submit(client.predict, made_rows(2), timeout=GUARD_S)
        time.sleep(0.3)
        with serving(script, port):
            assert len(answer_later.result()) == 2


def test_a_closed_client_says_so(scripted: Client) -> None:
    scripted.close()
    scripted.close()
    with pytest.raises(ClientClosed):
        scripted.predict([[1, 2, 3]])


def test_closing_ends_a_call_in_another_thread(scripted: Client, script: Script) -> None:
    script.hold()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(scripted.predict, made_rows(1))
        until(lambda: script.requests)
        scripted.close()
        with pytest.raises(genrestack.Cancelled):
            call.result(timeout=GUARD_S)


@pytest.mark.usefixtures("no_threads_left")
def test_one_client_serves_many_threads(script: Script) -> None:
    def ask(number: int) -> bool:
        rows = made_rows(number + 1)
        return np.array_equal(client.predict_proba(rows), probabilities(rows))

    with serving(script) as target, Client(target) as client, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a.labels.append("low"),
        lambda a: a.labels.pop(),
        lambda a: a.classes.append("third"),
        lambda a: setattr(a.probabilities, "raw", b"123"),
        lambda a: a.probabilities.shape.append(1),
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(scripted: Client, script: Script, spoil: Any) -> None:
    def respond(request: pb.PredictRequest) -> pb.PredictResponse:
        response = answer(request)
        spoil(response)
        return response

    script.respond = respond
    with pytest.raises(ProtocolError):
        scripted.predict(made_rows(3))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"target": ""}, "target"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"max_message_bytes": 10}, "max_message_bytes"),
        ({"max_message_rows": 0}, "max_message_rows"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Client(**settings)
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"timeout": -1}, "timeout"),
        ({"version": 0}, "version"),
        ({"model": ""}, "model"),
        ({"version": 2**32}, "version"),
    ],
)
def test_arguments_are_checked(scripted: Client, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        scripted.predict([[1, 2, 3]], **settings)
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize("settings", [{"attempts": 0}, {"initial_backoff": 0}, {"multiplier": float("inf")}])
def test_retry_options_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="retry"):
        RetryOptions(**settings)


def test_a_row_too_wide_for_a_message_is_refused() -> None:
    with (
        Client("127.0.0.1:1", max_message_bytes=4096) as client,
        pytest.raises(InvalidInput, match="max_message_bytes"),
    ):
        client.predict(np.zeros((1, 5000)))


def test_errors_can_be_pickled_and_caught_by_builtin_names() -> None:
    error = pickle.loads(pickle.dumps(InvalidInput("x", [genrestack.Violation("rows", "y")])))
    assert error.violations == (("rows", "y"),)
    assert pickle.loads(pickle.dumps(ResourceExhausted("full", 2.0))).retry_after == 2.0
    assert issubclass(InvalidInput, ValueError)
    assert issubclass(Unavailable, ConnectionError)
    assert issubclass(DeadlineExceeded, TimeoutError)
    assert issubclass(NotFound, LookupError)


def test_threads_end_with_the_client(script: Script) -> None:
    before = threading.active_count()
    with serving(script) as target, Client(target, max_message_rows=2) as client:
        client.predict(made_rows(20))
    until(lambda: threading.active_count() <= before)
