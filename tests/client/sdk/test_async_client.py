"""What only AsyncClient has: tasks that are cancelled, many at once, sources that wait, loops that come and go."""

import asyncio
import gc
import threading
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import aclosing
from itertools import count
from typing import Any, TypeVar

import numpy as np
import pytest
from client.both_clients import until
from client.servicer import Script, answer, probabilities, serving
from support.waiting import GUARD_S

from genrestack import AsyncClient, Cancelled, ClientClosed, DeadlineExceeded, InvalidInput
from genrestack_proto.v1 import prediction_pb2 as pb

Result = TypeVar("Result")
Rows = np.ndarray[Any, np.dtype[np.float32]]


def made_rows(number: int, rows: int = 3) -> Rows:
    return np.random.default_rng(number).normal(size=(rows, 3)).astype(np.float32)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run in a new loop; fail if tasks are left or anything was reported to the loop."""
    reports: list[dict[str, Any]] = []

    async def watched() -> Result:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        result = await main
        await until(lambda: len(asyncio.all_tasks()) == 1)
        return result

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = asyncio.run(watched(), debug=True)
        gc.collect()
    assert reports == []
    return result


def ours() -> list[str]:
    """Name the tasks of the client that are under way; gRPC's own may take another turn of the loop to end."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("genrestack-")]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def target(script: Script) -> Iterator[str]:
    with serving(script) as target:
        yield target


@pytest.mark.parametrize("settings", [{}, {"max_message_rows": 2}], ids=["one message", "several"])
def test_cancelling_the_task_cancels_the_call(script: Script, target: str, settings: dict[str, Any]) -> None:
    gone = threading.Event()
    # With several messages, the first is answered, and the next ones are under way.
    last = 2 + bool(settings)

    def all_but_the_last(request: pb.PredictRequest) -> pb.PredictResponse:
        if len(script.requests) >= last:
            gone.wait(GUARD_S)
        return answer(request)

    async def main() -> None:
        async with AsyncClient(target, **settings) as client:
            await client.predict(made_rows(0, 1))
            script.respond = all_but_the_last
            asking = asyncio.create_task(client.predict(made_rows(1, 20)))
            await until(lambda: len(script.requests) >= last)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            # The server hears of it a moment later.
            await until(lambda: not any(call.is_active() for call in script.calls))
            asked = len(script.requests)
            gone.set()
            await until(lambda: len(script.abandoned) >= asked)

    run(main())
    assert script.abandoned[-1]
    assert len(script.requests) < 10


def test_a_timeout_around_a_call_is_the_callers_own(script: Script, target: str) -> None:
    script.hold()

    async def main() -> None:
        async with AsyncClient(target) as client:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.05):
                    await client.predict(made_rows(1))
            assert not isinstance(caught.value, DeadlineExceeded)
            with pytest.raises(DeadlineExceeded):
                await client.predict(made_rows(1), timeout=0.05)

    run(main())


@pytest.mark.parametrize("settings", [{}, {"max_message_rows": 4}], ids=["one message", "several"])
def test_many_at_once_get_their_own_answers(target: str, settings: dict[str, Any]) -> None:
    async def main() -> None:
        async with AsyncClient(target, timeout=60, **settings) as client:
            answers = await asyncio.gather(*(client.predict(made_rows(n, 1 + n % 9)) for n in range(64)))
        for number, prediction in enumerate(answers):
            expected = probabilities(made_rows(number, 1 + number % 9))
            np.testing.assert_array_equal(prediction.probabilities, expected)

    run(main())


def test_many_at_once_ask_the_real_server(server_apart: str) -> None:
    async def main() -> None:
        rows = np.random.default_rng(5).normal(size=(64, 4)).astype(np.float32)
        async with AsyncClient(server_apart, timeout=60) as client:
            single = await asyncio.gather(*(client.predict(rows[n : n + 1]) for n in range(64)))
            together = await client.predict(rows)
        np.testing.assert_allclose(np.concatenate([p.probabilities for p in single]), together.probabilities, atol=1e-6)

    run(main())


def test_streams_run_beside_each_other_and_beside_calls(target: str) -> None:
    async def stream(client: AsyncClient, number: int) -> list[Rows]:
        return [p.probabilities async for p in client.predict_stream(made_rows(n) for n in range(number, number + 20))]

    async def main() -> None:
        async with AsyncClient(target) as client:
            calls = asyncio.gather(*(client.predict_proba(made_rows(n)) for n in range(20)))
            first, second, single = await asyncio.gather(stream(client, 0), stream(client, 50), calls)
        np.testing.assert_array_equal(first, single)
        np.testing.assert_array_equal(second, [probabilities(made_rows(n)) for n in range(50, 70)])

    run(main())


def test_an_answer_does_not_wait_for_the_batch_after_it(target: str) -> None:
    async def main() -> None:
        taken = asyncio.Event()

        async def source() -> AsyncIterator[Rows]:
            for number in range(3):
                yield made_rows(number)
                # The next batch is there only once the answer to this one has been used.
                await asyncio.wait_for(taken.wait(), GUARD_S)
                taken.clear()

        async with AsyncClient(target) as client:
            number = 0
            async for prediction in client.predict_stream(source()):
                np.testing.assert_array_equal(prediction.probabilities, probabilities(made_rows(number)))
                number += 1
                taken.set()
        assert number == 3

    run(main())


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("waits", [False, True])
def test_batches_are_fetched_no_further_than_the_bound(target: str, in_flight: int, waits: bool) -> None:
    async def main() -> None:
        fetched = most = taken = 0

        def endless() -> Iterator[Rows]:
            nonlocal fetched, most
            for number in count():
                fetched += 1
                most = max(most, fetched - taken)
                yield made_rows(number)

        async def endless_later() -> AsyncIterator[Rows]:
            for rows in endless():
                await asyncio.sleep(0)
                yield rows

        def as_far_as_may_be() -> bool:
            return fetched == taken + in_flight

        source = endless_later() if waits else endless()
        async with (
            AsyncClient(target) as client,
            aclosing(client.predict_stream(source, in_flight=in_flight)) as stream,
        ):
            for _ in range(1, 20):
                # Counted as taken already while it is waited for.
                taken += 1
                await anext(stream)
                await until(as_far_as_may_be)
        assert most <= in_flight

    run(main())


def test_closing_early_cancels_the_call_and_leaves_no_task(script: Script, target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target) as client:
            stream = client.predict_stream(made_rows(n) for n in count())
            await anext(stream)
            assert ours() != []
            await stream.aclose()
            assert ours() == []
            assert await asyncio.to_thread(script.cancelled.wait, GUARD_S)
            assert [p async for p in stream] == []

    run(main())


def test_a_loop_that_is_left_ends_the_stream_too(script: Script, target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target) as client:
            async for _ in client.predict_stream(made_rows(n) for n in count()):
                break
            gc.collect()
            await until(lambda: ours() == [])
            assert await asyncio.to_thread(script.cancelled.wait, GUARD_S)

    run(main())


def test_cancelling_the_task_that_takes_answers_ends_the_stream(script: Script, target: str) -> None:
    async def take(client: AsyncClient) -> None:
        async def never() -> AsyncIterator[Rows]:
            yield made_rows(0)
            await asyncio.Event().wait()

        async for _ in client.predict_stream(never()):
            pass

    async def main() -> None:
        async with AsyncClient(target) as client:
            taking = asyncio.create_task(take(client))
            await until(lambda: script.requests)
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
            assert ours() == []
            assert await asyncio.to_thread(script.cancelled.wait, GUARD_S)

    run(main())


def test_what_the_source_raises_is_raised(target: str) -> None:
    async def broken() -> AsyncIterator[Rows]:
        yield made_rows(0)
        raise OSError("disk gone")

    async def main() -> None:
        async with AsyncClient(target) as client:
            with pytest.raises(OSError, match="disk gone"):
                _ = [p async for p in client.predict_stream(broken())]
            assert ours() == []

    run(main())


def test_closing_the_client_ends_what_other_tasks_wait_for(script: Script, target: str) -> None:
    script.hold()

    async def stream(client: AsyncClient) -> None:
        _ = [p async for p in client.predict_stream(made_rows(n) for n in count())]

    async def main() -> None:
        client = AsyncClient(target, max_message_rows=2)
        waiting = [asyncio.create_task(w) for w in (client.predict(made_rows(0)), stream(client))]
        await until(lambda: len(script.requests) == 2)
        await client.close()
        await client.close()
        met = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(m) for m in met] == [Cancelled, Cancelled]
        assert {str(m) for m in met} == {"this client was closed during the call"}
        with pytest.raises(ClientClosed):
            await client.models()

    run(main())


def test_one_client_outlives_its_loop(target: str) -> None:
    client = AsyncClient(target)
    for number in range(3):
        answer = run(client.predict_proba(made_rows(number)))
        np.testing.assert_array_equal(answer, probabilities(made_rows(number)))
    run(client.close())
    with pytest.raises(ClientClosed):
        run(client.models())


def test_loops_that_end_right_after_a_cancelled_call_do_not_trouble_the_next(script: Script, target: str) -> None:
    async def main() -> None:
        async with AsyncClient(target) as client:
            asking = asyncio.create_task(client.predict(made_rows(1)))
            await until(lambda: script.requests)
            asking.cancel()
            await asyncio.wait([asking])
            stream = client.predict_stream(made_rows(n) for n in count())
            await anext(stream)
            await stream.aclose()

    script.delay = 0.005
    for _ in range(10):
        run(main())


def test_two_loops_at_once_want_two_clients(target: str) -> None:
    client = AsyncClient(target)
    with asyncio.Runner() as first:
        first.run(client.models())
        with asyncio.Runner() as second, pytest.raises(InvalidInput, match="make a client in each"):
            second.run(client.models())
        first.run(client.close())


def test_nothing_is_connected_before_it_is_needed() -> None:
    assert repr(AsyncClient("localhost:1")) == "<AsyncClient of localhost:1>"
