"""What travels beside a request, and whether the server hears that its caller has gone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from client.both_clients import BOTH_CLIENTS, until
from client.servicer import Script, serving
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from genrestack import AsyncClient, Client, InvalidInput, RetryOptions


def rows(count: int) -> "np.ndarray[Any, Any]":
    return np.zeros((count, 3))


def beside(script: Script, *names: str) -> list[tuple[str | None, ...]]:
    return [tuple(seen.get(name) for name in names) for seen in script.metadata]


def test_priority_and_id_travel_with_every_message_of_an_input() -> None:
    script = Script()
    marks: dict[str, Any] = {"priority": "high", "request_id": "case-17"}
    with serving(script) as target:
        for make in BOTH_CLIENTS:
            with make(target, max_message_rows=2) as client:
                client.predict(rows(7), **marks)
                list(client.predict_stream([rows(1), rows(5)], **marks))
                client.predict(rows(1))
    seen = beside(script, "genrestack-priority", "x-request-id")
    # Four messages, the stream, and three of the batch that is too large for one message of it.
    assert seen == ([("high", "case-17")] * 8 + [(None, None)]) * 2


@pytest.mark.parametrize(
    ("marks", "field"),
    [
        ({"priority": "urgent"}, "priority"),
        ({"request_id": "two words"}, "request_id"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "x" * 129}, "request_id"),
    ],
)
def test_marks_are_checked(marks: dict[str, Any], field: str) -> None:
    for make in BOTH_CLIENTS:
        with make("127.0.0.1:1") as client:
            for ask in (client.predict, client.predict_stream):
                with pytest.raises(InvalidInput) as caught:
                    ask(rows(1), **marks)
                assert caught.value.violations[0].field == field


def test_the_callers_span_travels() -> None:
    tracer = TracerProvider().get_tracer("test")

    def ask(target: str) -> trace.Span:
        with Client(target) as client:
            client.predict(rows(1))
            with tracer.start_as_current_span("asking") as span:
                client.predict(rows(1))
                list(client.predict_stream([rows(1)]))
            return span

    async def ask_and_await(target: str) -> trace.Span:
        async with AsyncClient(target) as client:
            await client.predict(rows(1))
            with tracer.start_as_current_span("asking") as span:
                await client.predict(rows(1))
                assert len([p async for p in client.predict_stream([rows(1)])]) == 1
            return span

    for asked in (ask, lambda target: asyncio.run(ask_and_await(target))):
        script = Script()
        with serving(script) as target:
            span = asked(target)
        told: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(told, trace.set_span_in_context(span))
        parent = (told["traceparent"], told.get("tracestate"))
        assert beside(script, "traceparent", "tracestate") == [(None, None), parent, parent]


def test_cancelling_the_task_cancels_the_call_at_the_server() -> None:
    script = Script(delay=0.3)

    async def main(target: str) -> None:
        async with AsyncClient(target, retry=RetryOptions(attempts=1)) as client:
            call = asyncio.create_task(client.predict(rows(1)))
            await until(lambda: script.requests)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: script.abandoned)
            assert script.abandoned == [True]
            await client.predict(rows(1))
            assert script.abandoned == [True, False]

    with serving(script) as target:
        asyncio.run(main(target))


def test_closing_a_client_cancels_its_calls_at_the_server() -> None:
    script = Script(delay=0.3)
    with serving(script) as target, ThreadPoolExecutor(1) as pool:
        client = Client(target)
        call = pool.submit(client.predict, rows(1))
        asyncio.run(until(lambda: script.requests))
        client.close()
        assert call.exception(timeout=5) is not None
        asyncio.run(until(lambda: script.abandoned))
        assert script.abandoned == [True]


def test_a_stream_that_is_taken_to_its_end_ends_well() -> None:
    script = Script()
    with serving(script) as target:
        for make in BOTH_CLIENTS:
            with make(target) as client:
                assert len(list(client.predict_stream([rows(1)] * 5))) == 5
        assert script.ended == [True, True]
