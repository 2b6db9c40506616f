"""The real server, several of it, full of work or killed under the client's hands."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from client.both_clients import BOTH_CLIENTS
from client.servicer import Script, serving
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.live import Command, end_process, serve_process
from support.waiting import GUARD_S, until

from genrestack import AsyncClient, Client, DeadlineExceeded, Health, QueueFull, RetryOptions, Unavailable

PATIENT = RetryOptions(initial_backoff=0.02, max_backoff=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, real_stack: TinyStack) -> Path:
    folder = tmp_path_factory.mktemp("several")
    write_tiny(folder, "tiny", real_stack)
    return folder


def started(folder: Path, *options: str) -> "tuple[Command, str]":
    process = serve_process(folder, "--port", "0", "--threads", "1", *options)
    assert process.stdout is not None
    command = Command(process, process.stdout.readline())
    return command, f"127.0.0.1:{command.running.port}"


def test_calls_go_on_when_one_of_two_servers_is_killed(folder: Path) -> None:
    one, first = started(folder)
    other, second = started(folder)
    try:
        with Client([first, second], retry=PATIENT) as client:
            rows = draw_rows(3)
            expected = client.predict_proba(rows)
            for number in range(60):
                if number == 20:
                    end_process(one.process)
                np.testing.assert_allclose(client.predict_proba(rows), expected, atol=1e-6)
            stream = client.predict_stream([rows] * 5)
            assert [len(answer) for answer in stream] == [3] * 5
    finally:
        end_process(one.process)
        end_process(other.process)


def test_a_server_that_does_not_serve_is_left_out_of_several(folder: Path, tmp_path: Path) -> None:
    """One that loads or drains refuses each call at once; clients ask what its health is before they ask it."""
    one, first = started(folder)
    other, second = started(tmp_path, "--allow-empty")
    try:
        for target in (first, second):
            with Client(target) as client:
                assert client.health() == (Health.SERVING if target == first else Health.NOT_SERVING)
        rows = draw_rows(3)
        with Client([first, second], retry=RetryOptions(attempts=1)) as client:
            assert [len(client.predict(rows)) for _ in range(50)] == [3] * 50
            write_tiny(tmp_path, "tiny", TinyStack.draw(7))
            with Client(second) as alone:
                alone.wait_until_ready(GUARD_S)
                expected = alone.predict_proba(rows)
            taken_in = lambda: np.array_equal(client.predict_proba(rows), expected)  # noqa: E731
            until(taken_in, "a server that serves now is not taken in")
    finally:
        end_process(one.process)
        end_process(other.process)


def test_when_none_of_several_serves_that_is_said(tmp_path: Path) -> None:
    one, first = started(tmp_path, "--allow-empty")
    other, second = started(tmp_path, "--allow-empty")
    try:
        for make in BOTH_CLIENTS:
            with make([first, second], retry=RetryOptions(attempts=1)) as client:
                assert client.health() is Health.NOT_SERVING
                with pytest.raises(Unavailable, match=r"none of .* serves now: .* ask each by itself"):
                    client.predict(draw_rows(1))
                with pytest.raises(DeadlineExceeded, match="not ready within 1 s"):
                    client.wait_until_ready(1)
    finally:
        end_process(one.process)
        end_process(other.process)


def test_two_hundred_callers_of_a_short_queue_are_all_answered(folder: Path) -> None:
    rows = draw_rows(64)

    async def main(target: str) -> None:
        async with AsyncClient(target, retry=RetryOptions(attempts=1), timeout=GUARD_S) as hasty:
            expected = await hasty.predict_proba(rows)
            callers = [hasty.predict_proba(rows) for _ in range(200)]
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert {type(error) for error in refused} == {QueueFull}
        assert "--max-queue-rows" in str(refused[0])
        async with AsyncClient(target, retry=PATIENT, timeout=GUARD_S) as patient:
            for answer in await asyncio.gather(*(patient.predict_proba(rows) for _ in range(200))):
                np.testing.assert_allclose(answer, expected, atol=1e-6)

    # One row an execution makes even a small model slow enough.
    command, target = started(folder, "--max-queue-rows", "256", "--max-batch-rows", "1")
    try:
        asyncio.run(main(target))
    finally:
        end_process(command.process)


def test_a_server_that_starts_late_is_waited_for(folder: Path) -> None:
    with serving(Script()) as taken:
        port = int(taken.rpartition(":")[2])
    with Client(f"127.0.0.1:{port}") as client:
        process = serve_process(folder, "--port", str(port), "--threads", "1")
        try:
            client.wait_until_ready(GUARD_S, model="tiny")
            assert len(client.predict(draw_rows(2))) == 2
        finally:
            end_process(process)
