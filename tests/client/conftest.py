"""Servers to ask: one that follows a script, and the real one."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from client.servicer import Script, serving
from server.live import running_server
from server.tiny_bundle import TinyStack, write_tiny

from genrestack import Client, RetryOptions

QUICK = RetryOptions(initial_backoff=0.01, max_backoff=0.05)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def scripted(script: Script) -> Iterator[Client]:
    """A client of a server that does what `script` says."""
    with serving(script) as target, Client(target, retry=QUICK) as client:
        yield client


@pytest.fixture(scope="session")
def real_stack() -> TinyStack:
    return TinyStack.draw()


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory, real_stack: TinyStack) -> Iterator[str]:
    """HOST:PORT of the real server, with limits so low that inputs have to be split."""
    folder: Path = tmp_path_factory.mktemp("client-models")
    write_tiny(folder, "tiny", real_stack)
    with running_server(folder, max_rows=100) as running:
        yield f"127.0.0.1:{running.port}"


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fail if a thread that the test started outlives it."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 5
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < end, left
        time.sleep(0.01)
