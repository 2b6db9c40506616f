"""Limits of connections and calls, over real ports."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from server.running.live import Running, RunServer
from server.service.test_calls import Noted
from server.test_command import batch
from support.network.frames import GOAWAY, Wire, message
from support.waiting import GUARD_S, until

from genrestack import Client
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server import ServerConfig
from genrestack_server.rpc import channel_options


def held_stream(stub: PredictionServiceStub) -> tuple[Any, threading.Event]:
    """A stream that has had one answer, and stays open until the event is set."""
    release = threading.Event()

    def requests() -> Iterator[PredictRequest]:
        yield batch(1)
        release.wait(GUARD_S)

    answers = stub.PredictStream(requests())
    assert len(next(answers).response.labels) == 1
    return answers, release


def retry_delay(error: Any) -> float:
    """Seconds after which the server wants the caller back."""
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    return float(info.retry_delay.ToTimedelta().total_seconds())


def test_more_calls_than_are_served_at_once(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, max_concurrent_rpcs=2) as running:
        first, release_first = held_stream(running.stub)
        second, release_second = held_stream(running.stub)
        with pytest.raises(grpc.RpcError) as caught:
            running.stub.Predict(batch(1))
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "no more than 2 calls at once (--max-concurrent-rpcs)" in error.details()
        assert 0 < retry_delay(error) < 1
        # Probes have to see a server that is busy as one that serves.
        assert running.health() == "SERVING"
        release_first.set()
        assert list(first) == []
        assert len(running.stub.Predict(batch(1)).labels) == 1
        release_second.set()
        assert list(second) == []


def test_the_client_waits_for_its_turn(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, max_concurrent_rpcs=1) as running, Client(f"127.0.0.1:{running.port}") as client:
        answers, release = held_stream(running.stub)
        noted = Noted()
        assert running.server is not None
        running.server.observers.add(noted)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.predict, [[0.0] * width(running)], timeout=GUARD_S)
            until(lambda: any(call.code is grpc.StatusCode.RESOURCE_EXHAUSTED for call in noted.ended))
            assert not answer.done()
            release.set()
            assert len(answer.result().labels) == 1
        assert list(answers) == []


def width(running: Running) -> int:
    assert running.server is not None
    return len(running.server.models[0].feature_names)


def test_an_old_connection_ends_and_no_call_fails(tiny_models: Path, run_server: RunServer) -> None:
    """Calls go on through several connections; one in flight at the end of its connection is answered."""
    with run_server(tiny_models, max_connection_age=1.0, max_connection_age_grace=GUARD_S) as running:
        peers: set[frozenset[int]] = set()
        answers, release = held_stream(running.stub)
        while len(set().union(*peers)) < 3:
            assert len(running.stub.Predict(batch(1), timeout=GUARD_S).labels) == 1
            peers.add(connected(running.port))
            time.sleep(0.02)
        release.set()
        assert list(answers) == []


def connected(port: int) -> frozenset[int]:
    """Local ports of this process's connections to a port."""
    import psutil

    found = psutil.Process().net_connections("tcp")
    return frozenset(c.laddr.port for c in found if c.raddr[1:] == (port,) and c.status == "ESTABLISHED")


def pinged(port: int, count: int, pause: float) -> bytes:
    """Speak HTTP/2 by hand: connect, ping, pause after each answer; return all that came until the server left."""
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=GUARD_S) as wire,
        suppress(BrokenPipeError, ConnectionResetError),
    ):
        wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kind=4, payload=b""))
        for number in range(count):
            payload = b"%08d" % number
            wire.sendall(frame(kind=6, payload=payload))
            while payload not in answer:
                part = wire.recv(65_536)
                if not part:
                    return answer
                answer += part
            time.sleep(pause)
    return answer


def frame(kind: int, payload: bytes) -> bytes:
    """An HTTP/2 frame without flags, of the connection itself."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 0]) + payload


def test_who_pings_too_often_is_disconnected_and_others_are_not(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, min_ping_interval=60) as running:
        assert b"too_many_pings" in pinged(running.port, 10, 0.0)
    with run_server(tiny_models, min_ping_interval=0.01) as running:
        answer = pinged(running.port, 10, 0.02)
        assert b"too_many_pings" not in answer
        assert b"00000009" in answer


def test_calls_beyond_those_of_one_connection_wait(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, max_connection_streams=2) as running:
        held = [held_stream(running.stub) for _ in range(2)]
        waiting = running.stub.Predict.future(batch(1), timeout=GUARD_S)
        time.sleep(0.3)
        assert not waiting.done()
        for _, release in held:
            release.set()
        assert len(waiting.result().labels) == 1


def test_metadata_beyond_16_kib_is_refused_at_once(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models) as running:
        for _ in range(5):
            assert len(running.stub.Predict(batch(1), metadata=(("x-filler", "y" * 12_000),)).labels) == 1
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            running.stub.Predict(batch(1), metadata=(("x-filler", "y" * 20_000),))


def test_connections_beyond_their_number_are_closed(tiny_models: Path, run_server: RunServer) -> None:
    """At once, and without harm to the others; a client that waits for the server connects when there is room."""
    with run_server(tiny_models, max_connections=2) as running:
        assert len(running.stub.Predict(batch(1)).labels) == 1
        address = f"127.0.0.1:{running.port}"
        with Wire(address) as second:
            next(second.frames())
            for _ in range(20):
                with Wire(address) as beyond:
                    assert list(beyond.frames()) == []
            with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                stub = PredictionServiceStub(channel)
                with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
                    stub.Predict(batch(1))
                waiting = stub.Predict.future(batch(1), wait_for_ready=True, timeout=60)
                assert len(running.stub.Predict(batch(1)).labels) == 1
                assert not waiting.done()
                second.close()
                assert len(waiting.result().labels) == 1


def test_idle_connections_end(tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_options, "_MAX_IDLE_MS", 200)
    with run_server(tiny_models) as running, Wire(f"127.0.0.1:{running.port}") as idle:
        answers, release = held_stream(running.stub)
        # Ends when the server hangs up.
        assert any(kind == GOAWAY and b"idle" in payload for kind, *_, payload in idle.frames())
        release.set()
        assert list(answers) == []
        assert len(running.stub.Predict(batch(1), timeout=10).labels) == 1


def test_the_client_sends_less_at_a_time(tiny_models: Path, run_server: RunServer) -> None:
    """gRPC's refusal of a large message is answered by smaller ones."""
    with run_server(tiny_models, max_message_mib=1) as running, Client(f"127.0.0.1:{running.port}") as client:
        assert len(client.predict(np.zeros((65_600, 4), np.float32)).labels) == 65_600


def test_callers_who_do_not_take_their_answers_are_bounded(
    tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their calls are over for us and not for gRPC, which refuses what comes on top until they are gone."""
    monkeypatch.setattr(channel_options, "_OTHER_CALLS", 2)
    no_window = (4).to_bytes(2, "big") + bytes(4)

    def refused() -> bool:
        try:
            running.stub.Predict(batch(1))
        except grpc.RpcError as error:
            return "limit exceeded" in str(error)
        return False

    with (
        run_server(tiny_models, max_concurrent_rpcs=2) as running,
        Wire(f"127.0.0.1:{running.port}", settings=no_window) as stuck,
    ):
        for _ in range(10):
            stuck.call("/genrestack.v1.PredictionService/Predict", message(batch(1).SerializeToString()))
        until(refused, "that many calls are held")
        stuck.close()
        until(lambda: not refused(), "the calls of a connection that is gone are held")


def test_every_option_fits_grpc() -> None:
    """At their bounds the numbers stay within the 32 bits that gRPC has for them."""
    config = ServerConfig(
        max_message_mib=1000, max_connection_age=1_728_000, max_connection_age_grace=1_728_000,
        min_ping_interval=86_400, max_connection_streams=2**31 - 1, max_connections=2**31 - 1,
    )  # fmt: skip
    for name, value in channel_options.channel_options(config):
        assert 0 <= value < 2**31, name
