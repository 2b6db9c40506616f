"""What the client does when the server is full, away, or one of several."""

import json
import time
from typing import Any

import grpc
import numpy as np
import pytest
from client.both_clients import BOTH_CLIENTS, Raised, outcome
from client.conftest import QUICK
from client.servicer import Breaking, Script, failure, retry_info, serving
from google.rpc import status_pb2
from support.waiting import GUARD_S

from genrestack import Cancelled, Internal, InvalidInput, KeepaliveOptions, QueueFull, RetryOptions, Unavailable
from genrestack._core.connection.channel import attempts_made, channel_arguments, service_config
from genrestack._core.connection.options import ClientOptions
from genrestack.cli.demo.processes import free_port

FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
AWAY = grpc.StatusCode.UNAVAILABLE


def rows(count: int) -> "np.ndarray[Any, Any]":
    return np.zeros((count, 3))


def test_a_full_queue_is_come_back_to_when_it_said() -> None:
    for make in BOTH_CLIENTS:
        script = Script(failures=[failure(FULL, "full", retry_info(0.2))] * 2)
        with serving(script) as target, make(target, retry=QUICK) as client:
            assert len(client.predict(rows(2))) == 2
        waits = np.diff(script.arrivals)
        assert len(waits) == 2
        assert (waits >= 0.2).all(), waits


def test_a_full_queue_is_come_back_to_more_often_than_there_are_attempts() -> None:
    for make in BOTH_CLIENTS:
        script = Script(failures=[failure(FULL, "full", retry_info(0.01))] * 20)
        with serving(script) as target, make(target, retry=QUICK) as client:
            assert len(client.predict(rows(2))) == 2
        assert len(script.requests) == 21


def test_what_the_deadline_leaves_no_time_for_is_given_up_at_once() -> None:
    for make in BOTH_CLIENTS:
        # The second wait has no end that a test would see.
        waits = [retry_info(0.01), retry_info(600)]
        script = Script(failures=[failure(FULL, "the queue is full", wait) for wait in waits])
        with (
            serving(script) as target,
            make(target, retry=QUICK) as client,
            pytest.raises(QueueFull, match=r"asked to be tried again after 600 s") as caught,
        ):
            client.predict(rows(2), timeout=500)
        assert caught.value.retry_after == 600
        assert len(script.requests) == 2


def test_retries_turned_off_are_off() -> None:
    never = RetryOptions(attempts=1)
    for code, detail in ((FULL, [retry_info(0.01)]), (AWAY, [])):
        for make in BOTH_CLIENTS:
            script = Script(failures=[failure(code, "no", *detail)])
            with serving(script) as target, make(target, retry=never) as client:
                assert isinstance(outcome(lambda c: c.predict(rows(1)), client), Raised)
            assert len(script.requests) == 1


@pytest.mark.parametrize("attempts", [2, 5, 10])
def test_grpc_itself_repeats_what_was_unavailable(attempts: int) -> None:
    retry = RetryOptions(attempts=attempts, initial_backoff=0.005, max_backoff=0.01)
    for make in BOTH_CLIENTS:
        script = Script(failures=[failure(AWAY, "restarting")] * 50)
        with (
            serving(script) as target,
            make(target, retry=retry) as client,
            pytest.raises(Unavailable, match="is not available: restarting"),
        ):
            client.predict(rows(1))
        assert len(script.requests) == attempts
        # What gRPC repeats says so.
        counted = [int(seen.get("grpc-previous-rpc-attempts", 0)) for seen in script.metadata]
        assert counted == [number % 5 for number in range(attempts)]


CUT_OFF = grpc.StatusCode.CANCELLED
# What gRPC makes of an answer that a proxy tears, as the tests of `deploy/nginx` meet it.
TORN = failure(grpc.StatusCode.INTERNAL, "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))")


def test_what_a_closing_server_cuts_off_is_repeated() -> None:
    for make in BOTH_CLIENTS:
        script = Script(failures=[failure(CUT_OFF, "closing")] * 3)
        with serving(script) as target, make(target, retry=QUICK) as client:
            assert len(client.predict(rows(2))) == 2
        assert len(script.requests) == 4
        script = Script(failures=[failure(CUT_OFF, "closing")] * 9)
        with serving(script) as target, make(target, retry=QUICK) as client:
            with pytest.raises(Cancelled, match="closing") as caught:
                client.predict(rows(2))
            assert caught.value.by_server
        assert len(script.requests) == 5


@pytest.mark.parametrize("told", [TORN, failure(AWAY, "Stream removed (Socket closed)")], ids=["torn", "away"])
def test_an_answer_that_breaks_off_is_asked_for_again(told: status_pb2.Status) -> None:
    """Once an answer has begun, gRPC itself repeats nothing."""
    # Waits so long that even on a busy machine no call takes the time of several.
    slow = RetryOptions(attempts=2, initial_backoff=0.5)
    for make in BOTH_CLIENTS:
        breaks = Breaking(told, times=1)
        with breaks.serving() as target, make(target, retry=slow) as client:
            assert len(client.predict(rows(2))) == 2
        assert breaks.begun == 2
        breaks = Breaking(told, times=9)
        with (
            breaks.serving() as target,
            make(target, retry=slow) as client,
            pytest.raises(Unavailable, match="broke off; see whether it still runs: genrestack health"),
        ):
            client.predict(rows(2))
        assert breaks.begun == 2


def test_an_internal_error_of_the_server_is_not_repeated() -> None:
    for make in BOTH_CLIENTS:
        script = Script(failures=[failure(grpc.StatusCode.INTERNAL, "internal error 1a2b3c4d")])
        with serving(script) as target, make(target, retry=QUICK) as client, pytest.raises(Internal, match="1a2b3c4d"):
            client.predict(rows(2))
        assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("seconds", "attempts", "made"),
    [(0.0, 5, 1), (0.04, 5, 1), (0.06, 5, 2), (0.2, 5, 3), (1.2, 5, 5), (60, 5, 5), (60, 9, 5), (60, 2, 2), (60, 1, 1)],
)
def test_attempts_of_grpc_itself_fit_into_the_time_they_took(seconds: float, attempts: int, made: int) -> None:
    retry = RetryOptions(attempts=attempts)
    assert attempts_made(Unavailable("away"), retry, seconds) == made
    assert attempts_made(Cancelled("closing", by_server=True), retry, seconds) == 1


def test_a_large_message_is_repeated_too() -> None:
    for make in BOTH_CLIENTS:
        script = Script(failures=[failure(AWAY)])
        with serving(script) as target, make(target, retry=QUICK, max_message_rows=10**6) as client:
            assert len(client.predict(rows(200_000))) == 200_000
        assert len(script.requests) == 2


@pytest.mark.parametrize("form", ["list", "ipv4"])
def test_several_servers_are_asked_in_turn_and_a_dead_one_is_left_out(form: str) -> None:
    for make in BOTH_CLIENTS:
        one, other = Script(), Script()
        with serving(one) as first:
            with serving(other) as second:
                target = [first, second] if form == "list" else f"ipv4:{first},{second}"
                client = make(target, retry=QUICK)
                end = time.monotonic() + GUARD_S
                while not (one.requests and other.requests):
                    assert time.monotonic() < end
                    client.predict(rows(1))
                before = len(one.requests), len(other.requests)
                for _ in range(20):
                    client.predict(rows(1))
                assert (len(one.requests) - before[0], len(other.requests) - before[1]) == (10, 10)
            for _ in range(20):
                client.predict(rows(1))
            assert len(one.requests) >= before[0] + 30
            with client:
                assert len(list(client.predict_stream([rows(1)] * 3))) == 3


def test_all_of_several_servers_away_is_said() -> None:
    targets = [f"127.0.0.1:{free_port(0)}", f"127.0.0.1:{free_port(0)}"]
    for make in BOTH_CLIENTS:
        with make(targets, retry=QUICK) as client, pytest.raises(Unavailable, match="nothing answers at") as caught:
            client.predict(rows(1))
        assert ",".join(targets) in str(caught.value)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (["a.example:1", "b.example:1"], "for servers behind one name give dns:///NAME:PORT"),
        (["127.0.0.1:1", "[::1]:1"], "mixes IPv4 and IPv6"),
        (["127.0.0.1:1", "127.0.0.1"], "holds IP addresses with ports"),
        (["127.0.0.1:1", "127.0.0.1:http"], "has no port"),
        ([], "is empty"),
        (["127.0.0.1:1", ""], "is empty"),
        ("https://a.example", "give HOST:PORT alone"),
    ],
)
def test_addresses_are_checked(target: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        ClientOptions(target=target)


@pytest.mark.parametrize(
    ("target", "balancing"),
    [
        ("localhost:50051", "pick_first"),
        ("dns:///genres:50051", "round_robin"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "round_robin"),
        (["localhost:1", "127.0.0.1:2"], "round_robin"),
        (["[::1]:1", "[::1]:2"], "round_robin"),
    ],
)
def test_several_servers_are_balanced(target: Any, balancing: str) -> None:
    assert service_config(ClientOptions(target=target))["loadBalancingConfig"] == [{balancing: {}}]
    # What does not serve is left out of several; one server alone is asked whatever it says.
    assert ("healthCheckConfig" in service_config(ClientOptions(target=target))) == (balancing == "round_robin")
    chosen = ClientOptions(target=target, load_balancing="pick_first")
    assert service_config(chosen)["loadBalancingConfig"] == [{"pick_first": {}}]


def test_the_callers_own_arguments_win() -> None:
    mine = (("grpc.service_config", "{}"), ("grpc.keepalive_time_ms", 99_000), ("grpc.lb_policy_name", "x"))
    given = dict(channel_arguments(ClientOptions(channel_options=mine)))
    assert given["grpc.service_config"] == "{}"
    assert given["grpc.keepalive_time_ms"] == 99_000
    assert given["grpc.lb_policy_name"] == "x"


def test_keepalive_is_passed_on_and_checked() -> None:
    given = dict(channel_arguments(ClientOptions(keepalive=KeepaliveOptions(interval=12, timeout=3, idle=True))))
    assert given["grpc.keepalive_time_ms"] == 12_000
    assert given["grpc.keepalive_timeout_ms"] == 3_000
    assert given["grpc.keepalive_permit_without_calls"] == 1
    assert "grpc.keepalive_time_ms" not in dict(channel_arguments(ClientOptions(keepalive=None)))
    for bad in ({"interval": 0.5}, {"timeout": 0}, {"interval": float("inf")}):
        with pytest.raises(InvalidInput, match="keepalive"):
            KeepaliveOptions(**bad)


def test_the_service_config_is_json_that_grpc_takes() -> None:
    text = dict(channel_arguments(ClientOptions()))["grpc.service_config"]
    (method,) = json.loads(str(text))["methodConfig"]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert {name["method"] for name in method["name"]} == {"Predict", "ListModels", "GetModel"}
