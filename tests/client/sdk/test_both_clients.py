"""Client and AsyncClient asked the same of the same servers: same answers, same exceptions, same messages sent."""

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from client.asks import ASKS
from client.both_clients import BOTH_CLIENTS, Ask, Raised, assert_same, outcome
from client.conftest import QUICK
from client.servicer import Script, answer, bad_request, failure, probabilities, retry_info, serving
from google.rpc import status_pb2
from server.bundles.tiny import draw_rows

import genrestack
from genrestack import AsyncClient, Client, DeadlineExceeded
from genrestack.cli.demo.processes import free_port
from genrestack_proto.matrix import from_matrix
from genrestack_proto.v1 import prediction_pb2 as pb

Code = grpc.StatusCode
Prepare = Callable[[Script], object]


def both(target: str, ask: Ask, **settings: Any) -> Any:
    """Ask both clients; return what they agree on."""
    seen = []
    for make in BOTH_CLIENTS:
        with make(target, **{"retry": QUICK, **settings}) as client:
            seen.append(outcome(ask, client))
    assert_same(*seen)
    return seen[0]


REAL: dict[str, Ask] = {
    **ASKS,
    "array": lambda c: c.predict(draw_rows(3)),
    "base": lambda c: c.predict(draw_rows(3), base=True),
    "probabilities": lambda c: c.predict_proba(draw_rows(2)),
    "split by a limit only the server knows": lambda c: c.predict(draw_rows(1000), base=True),
    "stream of large batches": lambda c: c.predict_stream([draw_rows(5), draw_rows(450), draw_rows(5)]),
    "named version": lambda c: c.predict(draw_rows(1), model="tiny", version=1),
    "health": lambda c: [c.health(), c.health("tiny", 1), c.health("gone")],
    "never ready": lambda c: c.wait_until_ready(0.3, model="gone"),
    "version without model": lambda c: c.health(version=1),
    "empty name": lambda c: c.model(""),
    "nothing in flight": lambda c: c.predict_stream([], in_flight=0),
    "unknown on_error": lambda c: c.predict_stream([], on_error="skip"),  # type: ignore[call-overload] # as people do
    "closed": lambda c: closed(c).predict(draw_rows(1)),
    "closed before the stream began": lambda c: (s := c.predict_stream([draw_rows(1)]), closed(c), next(s)),
}


def closed(client: Client) -> Client:
    client.close()
    client.close()
    return client


@pytest.mark.parametrize("name", REAL)
def test_the_real_server_is_asked_alike(server_apart: str, name: str) -> None:
    both(server_apart, REAL[name])


def refuse_99(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
    bad = np.flatnonzero((from_matrix(request.rows) == 99).all(axis=1))
    text = f"row {bad[0]} is odd" if bad.size else ""
    return failure(Code.INVALID_ARGUMENT, text, bad_request(**{f"rows[{bad[0]}]": text})) if text else answer(request)


def loses_version_1(script: Script) -> None:
    def respond(request: pb.PredictRequest) -> pb.PredictResponse | status_pb2.Status:
        if request.version == 1 and len(script.requests) > 1:
            return failure(Code.NOT_FOUND, "version 1 is gone")
        return answer(request, min(len(script.requests), 2))

    script.respond = respond


def spoiled(spoil: Callable[[pb.PredictResponse], object]) -> Prepare:
    def respond(request: pb.PredictRequest) -> pb.PredictResponse:
        response = answer(request)
        spoil(response)
        return response

    return lambda script: setattr(script, "respond", respond)


def fails(*statuses: status_pb2.Status) -> Prepare:
    return lambda script: script.failures.extend(statuses)


def breaks(*statuses: status_pb2.Status) -> Prepare:
    return lambda script: script.stream_breaks.extend(statuses)


def numbered(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(3).normal(size=(count, 3)).astype(np.float32)


def one_row_is_99(count: int, row: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = numbered(count)
    rows[row] = 99
    return rows


def one_row(client: Client) -> Any:
    return client.predict(numbered(1))


def ten_batches(client: Client) -> Any:
    return client.predict_stream(np.array_split(numbered(40), 10), in_flight=4)


NOTHING: Prepare = lambda _: None  # noqa: E731 - beside the others, which are made by functions
TOLD: dict[str, tuple[Ask, Prepare, dict[str, Any]]] = {
    "by rows": (lambda c: c.predict(numbered(1000), base=True), NOTHING, {"max_message_rows": 70}),
    "by bytes": (lambda c: c.predict(numbered(2000)), NOTHING, {"max_message_bytes": 4096}),
    "a version goes away": (lambda c: c.predict(numbered(15)), loses_version_1, {"max_message_rows": 10}),
    "a named version goes": (lambda c: c.predict(numbered(15), version=1), loses_version_1, {"max_message_rows": 10}),
    "put off in the middle": (
        lambda c: c.predict(numbered(60)),
        fails(failure(Code.UNAVAILABLE), failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(0.02))),
        {"max_message_rows": 10},
    ),
    "tried again": (one_row, fails(failure(Code.UNAVAILABLE), failure(Code.UNAVAILABLE)), {}),
    "tried often enough": (one_row, fails(*[failure(Code.UNAVAILABLE, "stopping")] * 9), {}),
    "too long to wait for": (one_row, fails(failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(60))), {}),
    "a label too many": (one_row, spoiled(lambda a: a.labels.append("low")), {}),
    "broken bytes": (one_row, spoiled(lambda a: setattr(a.probabilities, "raw", b"123")), {}),
    **{f"status {c.name}": (one_row, fails(failure(c, "why")), {}) for c in Code if c is not Code.OK},
}


@pytest.mark.parametrize("name", TOLD)
def test_a_scripted_server_is_asked_alike(name: str) -> None:
    ask, prepare, settings = TOLD[name]
    script = Script()
    trails = []

    def scripted(client: Client) -> Any:
        vars(script).update(vars(Script()))
        prepare(script)
        try:
            return ask(client)
        finally:
            # Those sent ahead arrive in any order.
            trails.append(Counter((tuple(r.rows.shape), r.model, r.version, r.base) for r in script.requests))

    with serving(script) as target:
        both(target, scripted, **settings)
    assert trails[0] == trails[1]


STREAMED: dict[str, tuple[Ask, Prepare]] = {
    "in order": (ten_batches, NOTHING),
    "no batches": (lambda c: c.predict_stream([]), NOTHING),
    "one at a time": (lambda c: c.predict_stream(np.array_split(numbered(40), 10), in_flight=1), NOTHING),
    "an item put off": (ten_batches, fails(failure(Code.RESOURCE_EXHAUSTED, "full", retry_info(0.02)))),
    "an item refused": (ten_batches, fails(failure(Code.NOT_FOUND, "no such model"))),
    "a faulty row": (
        lambda c: c.predict_stream([numbered(2), one_row_is_99(5, 3), numbered(1)], on_error="return"),
        lambda script: setattr(script, "respond", refuse_99),
    ),
    "broken three times": (ten_batches, breaks(*[failure(Code.UNAVAILABLE, "restarting")] * 3)),
    "broken for good": (ten_batches, breaks(failure(Code.PERMISSION_DENIED, "not you"))),
    "cancelled by the server": (ten_batches, breaks(failure(Code.CANCELLED, "enough"))),
    "torn by a proxy": (ten_batches, breaks(failure(Code.INTERNAL, "Received RST_STREAM with error code 2"))),
    "broken by a fault": (ten_batches, breaks(failure(Code.INTERNAL, "internal error 1a2b3c4d"))),
    "ended too early": (ten_batches, breaks(failure(Code.ABORTED, "enough"))),
}


@pytest.mark.parametrize("name", STREAMED)
def test_streams_go_alike(name: str) -> None:
    ask, prepare = STREAMED[name]
    seen = []
    # A server for each, at the same address: a stream that was left early still takes from its script for a moment.
    port = free_port(0)
    for make in BOTH_CLIENTS:
        prepare(script := Script())
        with serving(script, port) as target, make(target, retry=QUICK) as client:
            seen.append(outcome(ask, client))
    assert_same(*seen)


def test_messages_over_the_servers_limit_are_halved_alike() -> None:
    with serving(Script(), message_bytes=3000) as target:
        whole = both(target, lambda c: c.predict(numbered(500)))
        (streamed,) = both(target, lambda c: c.predict_stream([numbered(500)]))
    assert_same(whole, streamed)


def test_a_fault_in_a_later_message_names_the_original_row_alike() -> None:
    script = Script(respond=refuse_99)
    with serving(script) as target:
        raised = both(target, lambda c: c.predict(one_row_is_99(40, 23)), max_message_rows=10)
    assert raised.violations == (("rows[23]", "row 23 is odd"),)


@pytest.mark.parametrize(
    ("script", "ask"),
    [
        (Script(delay=0.15), lambda c: c.predict(numbered(100), timeout=0.3)),
        (Script().hold(), lambda c: list(c.predict_stream([numbered(1)] * 3, timeout=0.1))),
        (Script().hold(), lambda c: list(c.predict_stream([numbered(1)] * 3, timeout=0.1, on_error="return"))),
    ],
)
def test_one_deadline_covers_everything_alike(script: Script, ask: Ask) -> None:
    with serving(script) as target:
        for make in BOTH_CLIENTS:
            with make(target, max_message_rows=1) as client, pytest.raises(DeadlineExceeded):
                ask(client)


def test_nothing_there_is_said_alike() -> None:
    target = f"127.0.0.1:{free_port(0)}"
    asked: list[Ask] = [one_row, ten_batches, lambda c: c.health(), lambda c: c.models()]
    for ask in asked:
        raised = both(target, ask, timeout=5)
        assert isinstance(raised, Raised)
        assert raised.text == f"nothing answers at {target}; start one: genrestack serve models"


def test_a_server_that_comes_up_during_the_retries_is_taken_up_alike() -> None:
    patient = genrestack.RetryOptions(attempts=100, initial_backoff=0.02, max_backoff=0.1)
    for make in BOTH_CLIENTS:
        port = free_port(0)
        batches = np.array_split(numbered(24), 8)
        with make(f"127.0.0.1:{port}", retry=patient) as client:
            with serving(Script(), port):
                stream = client.predict_stream(batches, in_flight=2)
                answers = [next(stream), next(stream)]
            with serving(Script(), port):
                answers += stream
        np.testing.assert_allclose(
            np.concatenate([a.probabilities for a in answers]), probabilities(np.vstack(batches))
        )


def public(kind: type) -> dict[str, inspect.Signature]:
    members = inspect.getmembers(kind, callable)
    return {name: inspect.signature(member) for name, member in members if not name.startswith("_")}


def test_the_twins_offer_the_same() -> None:
    ours, theirs = public(Client), public(AsyncClient)
    assert list(ours) == list(theirs)
    for name, signature in ours.items():
        other = theirs[name].parameters
        assert [(p.name, p.kind, p.default) for p in signature.parameters.values()] == [
            (p.name, p.kind, p.default) for p in other.values()
        ]
    assert inspect.signature(Client) == inspect.signature(AsyncClient)
    for name in ours:
        assert inspect.getdoc(getattr(AsyncClient, name)), name


@pytest.mark.parametrize("settings", [{"target": ""}, {"timeout": 0}, {"max_message_bytes": 10}])
def test_settings_are_checked_alike(settings: dict[str, Any]) -> None:
    seen = []
    for make in (Client, AsyncClient):
        with pytest.raises(genrestack.InvalidInput) as caught:
            make(**settings)
        seen.append(Raised.of(caught.value))
    assert seen[0] == seen[1]
