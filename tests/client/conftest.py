"""Servers to ask: one that follows a script, and the real one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from client.servicer import Script, serving
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import Command, end_process, running_server, serve_process
from support.samples.stacks import export
from support.waiting import until

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


@contextmanager
def served_apart(folder: Path, *options: str) -> Iterator[str]:
    """Serve from a process of its own: grpc.aio does not bear two event loops in one."""
    process = serve_process(folder, "--port", "0", "--threads", "1", *options)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{Command(process, process.stdout.readline()).running.port}"
    finally:
        end_process(process)


@pytest.fixture(scope="session")
def server_apart(tmp_path_factory: pytest.TempPathFactory, real_stack: TinyStack) -> Iterator[str]:
    """HOST:PORT of the real server in a process of its own, with limits as those of `real_server`."""
    folder = tmp_path_factory.mktemp("models-apart")
    write_tiny(folder, "tiny", real_stack)
    with served_apart(folder, "--max-rows", "100") as target:
        yield target


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fail if a thread that the test started outlives it."""
    before = set(threading.enumerate())
    yield
    until(lambda: not set(threading.enumerate()) - before, "threads are left")


SUBSET = ("tempo", "mfcc2_mean", "rms_mean", "spectral_centroid_mean")
"""Some of the 57 features, in an order of their own."""


@pytest.fixture(scope="session")
def song_models(tmp_path_factory: pytest.TempPathFactory, real_stack: TinyStack) -> Path:
    """A repository of `songs` (all 57 features), `few` (SUBSET) and `tiny` (features of no recording)."""
    from support.samples.songs import fit_songs

    folder = tmp_path_factory.mktemp("song-models")
    export(fit_songs(), folder, "songs")
    export(fit_songs(SUBSET), folder, "few")
    write_tiny(folder, "tiny", real_stack)
    return folder


@pytest.fixture(scope="session")
def song_server(song_models: Path) -> Iterator[str]:
    """HOST:PORT of a server of `song_models`."""
    with running_server(song_models) as running:
        yield f"127.0.0.1:{running.port}"


@pytest.fixture(scope="session")
def song_server_apart(song_models: Path) -> Iterator[str]:
    """HOST:PORT of the same in a process of its own."""
    with served_apart(song_models) as target:
        yield target
