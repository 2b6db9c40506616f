"""Thousands of calls of AsyncClient, cancelled at any moment: nothing is left of them, here or at the server."""

import asyncio
import gc
import random
import re
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from client.both_clients import until
from hard.lengths import times
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import end_process, serve_process

from genrestack import AsyncClient, GenreStackError, RetryOptions
from genrestack.cli.demo.processes import free_port

CALLS = times(400, 10_000)
AT_ONCE = 40
# Away for good, so that a call cancelled there is between two attempts.
PATIENT = RetryOptions(attempts=1000, initial_backoff=0.001, max_backoff=0.01)

Ask = Callable[[AsyncClient, random.Random], Coroutine[Any, Any, object]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """HOST:PORT and metrics of a real server whose queue is soon full."""
    folder = tmp_path_factory.mktemp("storm-models")
    write_tiny(folder, "tiny", TinyStack.draw())
    process = serve_process(
        Path(folder),
        "--port",
        "0",
        "--threads",
        "1",
        "--metrics-port",
        "0",
        "--max-rows",
        "100",
        "--max-queue-rows",
        "100",
    )
    try:
        assert process.stdout is not None
        said = ""
        while "metrics" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        listening, metrics = re.search(r" on (\S+:\d+)\s", said), re.search(r"http://\S+", said)
        assert listening, said
        assert metrics, said
        yield listening[1], metrics[0].rstrip(",.;")
    finally:
        end_process(process)


async def one(client: AsyncClient, rng: random.Random) -> object:
    return await client.predict(draw_rows(1))


async def several(client: AsyncClient, rng: random.Random) -> object:
    return await client.predict(draw_rows(rng.randrange(150, 400)), base=True)


async def description(client: AsyncClient, rng: random.Random) -> object:
    return await client.model("tiny"), await client.models(), await client.health()


async def waiting(client: AsyncClient, rng: random.Random) -> object:
    await client.wait_until_ready(30, model="gone")
    return None


async def stream(client: AsyncClient, rng: random.Random) -> object:
    batches = (draw_rows(rng.choice([1, 3, 120])) for _ in count())
    taken = 0
    async with aclosing(client.predict_stream(batches, in_flight=rng.choice([1, 8]), on_error="return")) as answers:
        async for _ in answers:
            if (taken := taken + 1) == 20:
                break
    return taken


async def stream_of_a_source_that_waits(client: AsyncClient, rng: random.Random) -> object:
    async def source() -> AsyncIterator[Any]:
        for _ in range(5):
            yield draw_rows(2)
        await asyncio.Event().wait()

    async with aclosing(client.predict_stream(source())) as answers:
        return [answer async for answer in answers]


ASKED: tuple[Ask, ...] = (one, several, description, waiting, stream, stream_of_a_source_that_waits)


async def moment(rng: random.Random) -> None:
    """Let some turns of the loop pass, or some milliseconds."""
    if rng.random() < 0.5:
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(rng.random() * 0.02)


async def cancelled_somewhere(client: AsyncClient, rng: random.Random) -> None:
    asking = asyncio.create_task(rng.choice(ASKED)(client, rng), name="storm")
    await moment(rng)
    asking.cancel()
    if rng.random() < 0.3:
        # A second one, while the first is still being carried out.
        await moment(rng)
        asking.cancel()
    with suppress(asyncio.CancelledError, GenreStackError):
        await asking


async def closed_somewhere(target: str, rng: random.Random) -> None:
    """A client of its own, closed under its calls by a task that is cancelled itself."""
    client = AsyncClient(target, retry=PATIENT)
    asking = [asyncio.create_task(rng.choice(ASKED)(client, rng), name="storm") for _ in range(3)]
    await moment(rng)
    closing = asyncio.create_task(client.close(), name="storm")
    await moment(rng)
    closing.cancel()
    for task in (closing, *asking):
        task.cancel()
        with suppress(asyncio.CancelledError, GenreStackError):
            await task
    await client.close()


async def in_flight(metrics: str) -> float:
    text = await asyncio.to_thread(lambda: urlopen(metrics, timeout=10).read().decode())
    found = re.search(r"^genrestack_requests_in_flight(?:\{[^}\n]*\})? (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def storm(target: str, metrics: str, rng: random.Random) -> None:
    room = asyncio.Semaphore(AT_ONCE)
    nobody = f"127.0.0.1:{free_port(0)}"
    async with AsyncClient(target, timeout=30) as served, AsyncClient(nobody, retry=PATIENT, timeout=30) as away:

        async def call() -> None:
            async with room:
                kind = rng.random()
                if kind < 0.05:
                    await closed_somewhere(rng.choice([target, nobody]), rng)
                else:
                    await cancelled_somewhere(away if kind < 0.25 else served, rng)

        await asyncio.gather(*(call() for _ in range(CALLS)))
        left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("genrestack-", "storm"))]
        assert left == []
        while await in_flight(metrics):
            pass
        rows = draw_rows(150)
        answers = [answer async for answer in served.predict_stream([rows, rows])]
        np.testing.assert_allclose(answers[0].probabilities, (await served.predict(rows)).probabilities, atol=1e-6)
        assert len(answers) == 2
    # gRPC's own may take another turn of the loop.
    await until(lambda: len(asyncio.all_tasks()) == 1)


@pytest.mark.parametrize("seed", range(times(1, 3)))
def test_a_storm_of_cancellations(served: tuple[str, str], seed: int) -> None:
    reports: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
        await storm(*served, random.Random(seed))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(watched())
        gc.collect()
    assert reports == []
