"""Rows whose callers have left, or whose deadlines have passed, are not computed."""

import asyncio
import time

import pytest
from server.bundles.held import Held
from server.bundles.tiny import draw_rows
from server.inference.bench import Bench, on_bench

from genrestack_server.errors import DeadlineExceeded


class Clock:
    """The batcher's, which a test puts forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("genrestack_server.inference.batcher.time", made)
    return made


def test_rows_whose_deadline_passes_while_they_wait_are_not_computed(held: Held, clock: Clock) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(held.served, draw_rows(200))
        await held.begun()
        late = bench.ask(held.served, draw_rows(3), deadline=clock.monotonic() + 3600)
        backpressured = bench.ask(held.served, draw_rows(2), deadline=clock.monotonic() + 7200)
        await bench.until_waiting(5)
        clock.ahead = 3600
        held.free()
        with pytest.raises(DeadlineExceeded, match="allow more time"):
            await late
        await asyncio.gather(first, backpressured)
        assert bench.counted.executions == [(2, 200, 1), (2, 2, 1)]

    on_bench(walk, max_batch_rows=200)


def test_the_rest_of_a_large_request_is_not_computed_once_its_deadline_has_passed(held: Held, clock: Clock) -> None:
    async def walk(bench: Bench) -> None:
        large = bench.ask(held.served, draw_rows(1000), deadline=clock.monotonic() + 3600)
        await held.begun()
        clock.ahead = 3600
        held.free()
        with pytest.raises(DeadlineExceeded):
            await large
        assert sum(rows for _, rows, _ in bench.counted.executions) < 1000
        assert bench.batcher.waiting_rows == 0

    on_bench(walk, max_batch_rows=10)


def test_what_is_cancelled_while_it_waits_is_not_computed(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        first = bench.ask(held.served, draw_rows(100))
        await held.begun()
        left, stays = bench.ask(held.served, draw_rows(3)), bench.ask(held.served, draw_rows(2))
        await bench.until_waiting(5)
        left.cancel()
        await bench.until_waiting(2)
        held.free()
        await asyncio.gather(first, stays)
        assert left.cancelled()
        assert bench.counted.executions == [(2, 100, 1), (2, 2, 1)]

    on_bench(walk, max_batch_rows=100)


def test_a_large_request_that_is_cancelled_leaves_the_rest_of_its_rows(held: Held) -> None:
    async def walk(bench: Bench) -> None:
        huge = bench.ask(held.served, draw_rows(1000))
        await held.begun()
        huge.cancel()
        await bench.until_waiting(0)
        held.free()
        await bench.ask(held.served, draw_rows(1))
        # What was in work, and what the thread was handed beside it.
        assert [rows for _, rows, _ in bench.counted.executions] == [10, 10, 1]

    on_bench(walk, max_batch_rows=10)
