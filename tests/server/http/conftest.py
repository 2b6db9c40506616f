"""A server of `tiny` that speaks HTTP, shared by the tests of a session, and a connection to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.http.asking import Http, asking
from server.running.live import Running, running_server


@pytest.fixture(scope="session")
def http_server(tiny_models: Path) -> Iterator[Running]:
    with running_server(tiny_models, max_rows=1000, max_message_mib=1, http_port=0, version_policy="all") as running:
        yield running


@pytest.fixture
def http(http_server: Running) -> Iterator[Http]:
    with asking(http_server) as http:
        yield http
