"""Traces, as an OTLP collector receives them over a real port."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from server.bundles.tiny import draw_rows
from server.running.live import RunServer
from support.waiting import GUARD_S, until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_server import StartError

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = ("traceparent", f"00-{TRACE}-{PARENT}-01")
NOT_SAMPLED = ("traceparent", f"00-{TRACE}-{PARENT}-00")


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self, port: int = 0) -> None:
        self._requests: list[ExportTraceServiceRequest] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        export = grpc.unary_unary_rpc_method_handler(
            self._export, ExportTraceServiceRequest.FromString, ExportTraceServiceResponse.SerializeToString
        )
        name = "opentelemetry.proto.collector.trace.v1.TraceService"
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, {"Export": export})])
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self._requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> dict[str, str]:
        attributes = self._requests[0].resource_spans[0].resource.attributes
        return {attribute.key: attribute.value.string_value for attribute in attributes}

    def stop(self) -> None:
        self._server.stop(None).wait()

    def _export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        self._requests.append(request)
        return ExportTraceServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    collector = Collector()
    yield collector
    collector.stop()


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in span.attributes}


def named(collector: Collector, name: str) -> Span:
    (span,) = (span for span in collector.spans if span.name == name)
    return span


def ask(model: str = "", rows: int = 3) -> PredictRequest:
    return PredictRequest(model=model, rows=to_matrix(draw_rows(rows)))


def test_a_call_is_one_span_with_its_steps_under_the_callers(
    tiny_models: Path, run_server: RunServer, collector: Collector
) -> None:
    with run_server(tiny_models, otel_endpoint=collector.endpoint) as running:
        before = time.time_ns()
        running.stub.Predict(ask(), metadata=(CALLER, ("x-request-id", "abc")), timeout=10)
        after = time.time_ns()
        until(lambda: len(collector.spans) == 3, "no spans arrive")
    call, queue, compute = (named(collector, name) for name in ("Predict", "queue", "compute"))
    assert {span.trace_id.hex() for span in (call, queue, compute)} == {TRACE}
    assert call.parent_span_id.hex() == PARENT
    assert call.kind == Span.SPAN_KIND_SERVER
    assert queue.parent_span_id == compute.parent_span_id == call.span_id
    assert call.status.code == Status.STATUS_CODE_UNSET
    begin, end = call.start_time_unix_nano, call.end_time_unix_nano
    # The two clocks are read one after the other.
    assert before - 1_000_000 <= begin <= queue.start_time_unix_nano <= queue.end_time_unix_nano
    assert queue.end_time_unix_nano == compute.start_time_unix_nano < compute.end_time_unix_nano
    assert compute.end_time_unix_nano <= end <= after + 1_000_000
    said = attributes(call)
    assert said["rpc.method"] == "Predict"
    assert said["rpc.grpc.status_code"] == 0
    assert (said["genrestack.model"], said["genrestack.version"], said["genrestack.rows"]) == ("tiny", 2, 3)
    assert (said["genrestack.request_id"], said["genrestack.batch_rows"]) == ("abc", 3)
    assert collector.resource()["service.name"] == "genrestack"


def test_failures_streams_and_what_the_caller_does_not_sample(
    tiny_models: Path, run_server: RunServer, collector: Collector
) -> None:
    with run_server(tiny_models, otel_endpoint=collector.endpoint) as running:
        running.stub.Predict(ask(), metadata=(NOT_SAMPLED,), timeout=10)
        with pytest.raises(grpc.RpcError):
            running.stub.Predict(ask("nobody"), timeout=10)
        items = [ask(rows=rows) for rows in (1, 2)]
        assert len(list(running.stub.PredictStream(iter(items), metadata=(CALLER,), timeout=10))) == 2
    # What was left is sent when the server stops.
    failed = named(collector, "Predict")
    assert not failed.parent_span_id
    assert failed.trace_id.hex() != TRACE
    assert attributes(failed)["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert "genrestack.model" not in attributes(failed)
    streamed = [span for span in collector.spans if span.name == "PredictStream"]
    assert sorted(attributes(span)["genrestack.rows"] for span in streamed) == [1, 2]
    assert {span.parent_span_id.hex() for span in streamed} == {PARENT}


def test_a_collector_that_is_down_hurts_nobody_and_is_told_of_once(
    tiny_models: Path, run_server: RunServer, collector: Collector, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("genrestack_server.telemetry.tracing._ATTEMPT_S", 0.2)
    collector.stop()

    def lines(text: str) -> list[str]:
        return [record.getMessage() for record in caplog.records if text in record.getMessage()]

    with run_server(tiny_models, otel_endpoint=collector.endpoint) as running:
        for _ in range(8):
            assert len(running.stub.Predict(ask(), timeout=10).labels) == 3
            time.sleep(0.1)
        until(lambda: lines("no traces reach"), "nobody is told")
        caplog.set_level("INFO", "genrestack_server")
        again = Collector(collector.port)
        try:
            until(lambda: running.stub.Predict(ask(), timeout=10).labels and again.spans, "it does not recover")
            until(lambda: lines("again"), "nobody is told of the recovery")
        finally:
            again.stop()
    assert lines("no traces reach")[0].startswith(f"no traces reach {collector.endpoint}; they are dropped")
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_a_server_whose_collector_is_down_stops_in_time(
    tiny_models: Path, run_server: RunServer, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An attempt to send has no end that this test would see.
    monkeypatch.setattr("genrestack_server.telemetry.tracing._ATTEMPT_S", 3600)
    collector.stop()
    before = threading.active_count()
    with run_server(tiny_models, otel_endpoint=collector.endpoint) as running:
        running.stub.Predict(ask(), timeout=10)
        assert running.stop(0).result(GUARD_S)
    assert threading.active_count() < before + 30


def test_off_by_default_and_clear_about_what_is_missing(
    tiny_models: Path, run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "genrestack_server.telemetry.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with run_server(tiny_models) as running:
        running.stub.Predict(ask(), metadata=(CALLER,), timeout=10)
    with pytest.raises(StartError, match=r'pip install "genrestack\[server,otel\]"'):
        run_server(tiny_models, otel_endpoint="http://127.0.0.1:4317").__enter__()


def test_nothing_is_imported_that_is_not_asked_for(tiny_models: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from genrestack_server import Server, ServerConfig
async def main():
    async with Server(ServerConfig(models_dir=Path(sys.argv[1]), port=0)):
        print(sorted({"opentelemetry", "prometheus_client"} & set(sys.modules)))
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tiny_models],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n", done.stderr
