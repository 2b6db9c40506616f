"""Durations are never negative: not when the wall clock is set back, not whatever a caller says of its deadline."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from server.bundles.tiny import draw_rows
from server.running.live import Running, RunServer
from server.telemetry.test_traces import Collector
from support.waiting import until

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server.call import Call
from genrestack_server.telemetry.observer import Observer, Version
from genrestack_server.telemetry.request_log import described

PREDICT = "/genrestack.v1.PredictionService/Predict"
REQUEST = PredictRequest(rows=to_matrix(draw_rows(2)))


@dataclass
class Durations(Observer):
    """Every duration that an observer is told."""

    calls: list[Call] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def call_ended(self, call: Call) -> None:
        self.calls.append(call)
        self.seconds += [call.ended - call.began, call.queued_s, call.compute_s]
        self.seconds += [value for name, value in described(call).items() if name.endswith("_ms")]

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:
        self.seconds.append(seconds)

    def loaded(self, served: Version, seconds: float) -> None:
        self.seconds.append(seconds)


def _observed(running: Running) -> Durations:
    durations = Durations()
    assert running.server is not None
    running.server.observers.add(durations)
    return durations


class SetBack:
    """A wall clock that is set back whenever somebody looks; not far, as gRPC's deadlines are told by it."""

    def __init__(self) -> None:
        self._ns = time.time_ns()

    def time_ns(self) -> int:
        self._ns -= 10**4
        return self._ns

    def time(self) -> float:
        return self.time_ns() / 1e9


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = SetBack()
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", clock.time)
        patched.setattr(time, "time_ns", clock.time_ns)
        yield


@pytest.mark.usefixtures("set_back")
def test_a_wall_clock_that_is_set_back_shortens_nothing(slow_models: Path, run_server: RunServer) -> None:
    collector = Collector()
    with (
        run_server(slow_models, metrics_port=0, otel_endpoint=collector.endpoint, max_queue_rows=60) as running,
        ThreadPoolExecutor(8) as pool,
    ):
        durations = _observed(running)
        # The first of them fill the queue, and the last are told when to come back.
        calls = [pool.submit(_retry_after, running) for _ in range(40)]
        wait(calls)
        assert [delay for call in calls if (delay := call.result()) < 0] == []
        assert running.server is not None
        metrics = running.server.telemetry.metrics
        assert metrics is not None
        families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
        sums = {s.name: s.value for family in families for s in family.samples if s.name.endswith("_seconds_sum")}
        statistics = _statistics(running)
    assert sums
    assert min(sums.values()) >= 0
    assert len(durations.calls) >= 40
    assert min(durations.seconds) >= 0
    assert statistics.model_stats[0].inference_stats.success.ns > 0
    until(lambda: bool(collector.spans))
    assert [span.name for span in collector.spans if span.end_time_unix_nano < span.start_time_unix_nano] == []


def _retry_after(running: Running) -> float:
    """Ask; return the nanoseconds after which to ask again, 0 if there was an answer."""
    from google.rpc import error_details_pb2, status_pb2

    try:
        running.stub.Predict(PredictRequest(rows=to_matrix(draw_rows(40))))
    except grpc.RpcError as error:
        call: Any = error
        status = status_pb2.Status.FromString(dict(call.trailing_metadata())["grpc-status-details-bin"])
        info = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert info.retry_delay.ToNanoseconds() > 0
        return float(info.retry_delay.ToNanoseconds())
    return 0.0


def _statistics(running: Running) -> Any:
    call: Any = running.channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
    return oip.ModelStatisticsResponse.FromString(call(b""))


TIMEOUTS = ("0n", "1n", "-1S", "-99999999H", "99999999H", "99999999n", "", "S", "1", "NaNS", "1e9S", "0x1S")


def test_a_deadline_of_any_kind_gives_no_negative_time(tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models) as running:
        durations = _observed(running)
        for timeout in TIMEOUTS:
            _send(running.port, timeout)
        running.stub.Predict(REQUEST, timeout=60)
        until(lambda: len(durations.calls) > 1)
        assert running.health() == "SERVING"
    assert min(durations.seconds) >= 0
    json.dumps([described(call) for call in durations.calls], allow_nan=False)


def _send(port: int, timeout: str) -> None:
    """Make one call over HTTP/2 by hand: no client lets such a deadline pass. Wait until it has ended."""
    headers = {
        ":method": "POST", ":scheme": "http", ":path": PREDICT, ":authority": "localhost", "te": "trailers",
        "content-type": "application/grpc", "grpc-timeout": timeout,
    }  # fmt: skip
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    message = REQUEST.SerializeToString()
    body = struct.pack(">BI", 0, len(message)) + message
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b""))
        connection.sendall(_frame(1, 4, 1, block) + _frame(0, 1, 1, body))
        with connection.makefile("rb") as answers:
            while len(head := answers.read(9)) == 9:
                kind, flags = head[3], head[4]
                answers.read(int.from_bytes(head[:3]))
                # The end of the stream, or the stream's or the connection's end for cause.
                if (kind in {0, 1} and flags & 1) or kind in {3, 7}:
                    return


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
