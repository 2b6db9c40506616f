"""The real server, in process and as the real command, over a small hand-built model."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import Command, Launch, Running, RunServer, end_process, running_server, serve_process


@pytest.fixture(scope="session")
def run_server() -> RunServer:
    """Start the real server in a thread of its own, on a free port."""
    return running_server


@pytest.fixture(scope="session")
def stack() -> TinyStack:
    return TinyStack.draw()


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory, stack: TinyStack) -> Path:
    """A repository of one model, `tiny`, in two versions."""
    folder = tmp_path_factory.mktemp("models")
    for _ in range(2):
        write_tiny(folder, "tiny", stack)
    return folder


@pytest.fixture(scope="session")
def song_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one model, `songs`, which finds nearest training rows."""
    from server.bundles.songs import write_songs

    folder = tmp_path_factory.mktemp("song-models")
    write_songs(folder)
    return folder


@pytest.fixture(scope="session")
def slow_models(tmp_path_factory: pytest.TempPathFactory, stack: TinyStack) -> Path:
    """A repository of one model, `slow`: a thousand rows take it about a second."""
    folder = tmp_path_factory.mktemp("slow-models")
    write_tiny(folder, "slow", stack, slow=600)
    return folder


@pytest.fixture(scope="session")
def tiny_server(tiny_models: Path) -> Iterator[Running]:
    """A server of `tiny` that the tests of a whole session share."""
    with running_server(tiny_models, max_rows=1000, max_message_mib=1) as running:
        yield running


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start the real `genrestack serve` and wait for its line; killed at the end."""
    with ExitStack() as stack:

        def start(*arguments: str | Path) -> Command:
            process = serve_process(*arguments)
            stack.callback(end_process, process)
            assert process.stdout is not None
            return Command(process, process.stdout.readline())

        yield start
