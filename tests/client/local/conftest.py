"""Models that are served over a port, and loaded into this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import running_server

import genrestack
from genrestack import Client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of `tiny` in two versions."""
    made = tmp_path_factory.mktemp("local-models")
    for seed in range(2):
        write_tiny(made, "tiny", TinyStack.draw(seed))
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Client]:
    with running_server(folder) as running, Client(f"127.0.0.1:{running.port}") as client:
        yield client


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Iterator[Client]:
    with genrestack.load(folder / "tiny", threads=1) as client:
        yield client
