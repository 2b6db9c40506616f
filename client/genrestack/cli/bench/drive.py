"""Two ways to load: callers that wait for their answers (closed loop), and a fixed rate (open loop)."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from genrestack._core.connection.options import ClientOptions
from genrestack.cli.bench.lanes import Lane, open_lanes
from genrestack.cli.bench.payloads import Payloads
from genrestack.cli.bench.plan import MOST_CALLS, Plan
from genrestack.cli.bench.record import OK, CallRecords, Record

# A caller that is rejected at once must not ask again at once: real callers do not.
_PAUSE_AFTER_FAILURE: Final = 0.01
_TICK: Final = 0.2

Watch = Callable[[float, int], object]
"""Told, while a load runs, of the seconds since its beginning and the calls that have ended."""


@dataclass(frozen=True)
class Span:
    """When the measured part of a load begins and ends, on the monotonic clock."""

    begin: float
    end: float


@dataclass(frozen=True)
class LoadRun:
    """A load that is over."""

    calls: CallRecords
    """Those that were meant to begin in the measured part."""
    begin: float
    seconds: float
    """Length of the measured part."""
    client_cpu: float
    """CPU time of this process over the measured part, in shares of one core."""


async def drive(
    plan: Plan, payloads: Payloads, options: ClientOptions, watch: Watch, at: Callable[[], object]
) -> LoadRun:
    """Load a server; `at` is called at the beginning of the measured part, in a thread."""
    record = Record()
    async with open_lanes(plan, options) as lanes:
        began = time.monotonic()
        span = Span(began + plan.warm_up, began + plan.warm_up + plan.seconds)
        ticker = asyncio.create_task(_tick(began, record, watch))
        clock = asyncio.create_task(_cpu_at(span.begin, at))
        try:
            load = _at_rate if plan.rate is not None else _by_callers
            await load(plan, lanes, payloads, span, record)
        finally:
            ticker.cancel()
        cpu = time.process_time() - await clock
        measured_for = time.monotonic() - span.begin
    calls = record.between(span.begin, span.end)
    whole = plan.seconds if plan.requests is None or len(calls.ended) < plan.requests else None
    seconds = whole or max(float(calls.ended.max()) - span.begin, 1e-9)
    return LoadRun(calls, span.begin, seconds, cpu / measured_for)


async def _by_callers(plan: Plan, lanes: list[Lane], payloads: Payloads, span: Span, record: Record) -> None:
    allowed = iter(range(min(plan.requests or MOST_CALLS, MOST_CALLS)))
    requests = cycle(payloads.requests)

    async def call_on(lane: Lane) -> None:
        while (began := time.monotonic()) < span.end:
            if began >= span.begin and next(allowed, None) is None:
                return
            code = await lane.ask(next(requests))
            record.add(began, began, time.monotonic(), code)
            if code != OK:
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)

    await asyncio.gather(*(call_on(lane) for lane in lanes))


async def _at_rate(plan: Plan, lanes: list[Lane], payloads: Payloads, span: Span, record: Record) -> None:
    requests, turns = cycle(payloads.requests), cycle(lanes)
    allowed = iter(range(plan.requests or MOST_CALLS))
    under_way: set[asyncio.Task[None]] = set()

    async def ask(lane: Lane, request: bytes, intended: float) -> None:
        sent = time.monotonic()
        code = await lane.ask(request)
        # From when it should have been sent: what this client is late by is not kept quiet about.
        record.add(intended, sent, time.monotonic(), code)

    for intended in arrivals(plan, span):
        if intended >= span.begin and next(allowed, None) is None:
            break
        if (early := intended - time.monotonic()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(ask(next(turns), next(requests), intended))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    while under_way:
        await asyncio.wait(under_way)


def arrivals(plan: Plan, span: Span) -> Iterator[float]:
    """When each request is to be sent, from the beginning of the warm-up to the end of the load."""
    rate = plan.rate or 1.0
    rng = random.Random(plan.seed)  # noqa: S311 - spreads requests, keeps no secret
    first = span.begin - plan.warm_up
    now, number = first, 0
    while now < span.end:
        yield now
        number += 1
        now = now + rng.expovariate(rate) if plan.arrivals == "poisson" else first + number / rate


async def _cpu_at(moment: float, at: Callable[[], object]) -> float:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    cpu = time.process_time()
    await asyncio.to_thread(at)
    return cpu


async def _tick(began: float, record: Record, watch: Watch) -> None:
    while True:
        watch(time.monotonic() - began, len(record))
        await asyncio.sleep(_TICK)
