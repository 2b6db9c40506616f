"""OpenTelemetry traces of calls, sent to a collector by OTLP."""

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from genrestack_server.call import Call
from genrestack_server.telemetry.observer import Observer

_log = logging.getLogger(__name__)

# With what comes after them, an attempt and the last flush delay a stop by at most this long.
_ATTEMPT_S: Final = 5.0
_FLUSH_TIMEOUT_S: Final = 2.0
# Which of a server's statuses are its own fault, by OpenTelemetry's conventions for RPC spans.
_OWN_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


class Tracing(Observer):
    """Makes the spans of a call when it has ended: the call itself and, in it, `queue` and `compute`.

    The caller's trace context (`traceparent`) is the parent. Spans leave in a thread of their own; while the collector
    does not answer they are dropped, and callers notice nothing of it. OpenTelemetry's own environment variables hold:
    `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS` ….
    """

    def __init__(self, endpoint: str) -> None:
        """Send to `http://host:port`, or `https://` for TLS."""
        # It warns at every attempt; what has to be said once is said below.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = _Exporter(OTLPSpanExporter(endpoint=endpoint, timeout=_ATTEMPT_S), endpoint)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("genrestack_server", version("genrestack"))
        self._propagator = TraceContextTextMapPropagator()

    def call_ended(self, call: Call) -> None:
        """Make the spans of a call."""
        clock = _Clock()
        span = self._tracer.start_span(
            call.method,
            context=self._parent(call),
            kind=SpanKind.SERVER,
            attributes=_attributes(call),
            start_time=clock.ns(call.began),
        )
        if span.is_recording() and call.batch_rows:
            self._steps(call, span, clock)
        if call.code in _OWN_FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        span.end(clock.ns(call.ended))

    def close(self) -> None:
        """Send what is left, for a moment; what the collector does not take by then is lost."""
        if self._exporter.failing:
            self._exporter.shutdown()
        last = threading.Thread(target=self._provider.shutdown, name="genrestack-traces", daemon=True)
        last.start()
        last.join(_FLUSH_TIMEOUT_S)
        self._exporter.shutdown()

    def _parent(self, call: Call) -> Context:
        carrier = {"traceparent": call.traceparent} if call.traceparent else {}
        return self._propagator.extract(carrier, Context())

    def _steps(self, call: Call, span: Span, clock: "_Clock") -> None:
        context = set_span_in_context(span)
        computed = call.admitted + call.queued_s
        for name, begin, end in (
            ("queue", call.admitted, computed),
            ("compute", computed, computed + call.compute_s),
        ):
            step = self._tracer.start_span(name, context=context, start_time=clock.ns(begin))
            step.end(clock.ns(end))


class _Exporter(SpanExporter):
    """Says once that the collector does not answer, and once that it does again."""

    def __init__(self, exporter: OTLPSpanExporter, endpoint: str) -> None:
        self.failing = False
        self._exporter = exporter
        self._endpoint = endpoint
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.failing and not self._closed:
            _log.warning("no traces reach %s; they are dropped until it answers (--otel-endpoint)", self._endpoint)
        elif self.failing and not failed:
            _log.info("traces reach %s again", self._endpoint)
        self.failing = failed
        return result

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()


class _Clock:
    """Moments of `time.monotonic()` as nanoseconds since 1970, by what both clocks say now."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def ns(self, moment: float) -> int:
        return self._offset_ns + int(moment * 1e9)


def _attributes(call: Call) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "rpc.system": "grpc",
        "rpc.method": call.method,
        "rpc.grpc.status_code": call.code.value[0],
        "genrestack.request_id": call.request_id,
    }
    if call.model:
        attributes |= {"genrestack.model": call.model, "genrestack.version": call.version}
    if call.rows:
        attributes |= {"genrestack.rows": call.rows, "genrestack.batch_rows": call.batch_rows}
    return attributes


def _resource() -> Resource:
    return Resource.create(
        {
            "service.name": os.environ.get("OTEL_SERVICE_NAME") or "genrestack",
            "service.version": version("genrestack"),
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
    )
