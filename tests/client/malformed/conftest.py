"""A server that answers nonsense, and a client of either kind."""

from collections.abc import Iterator

import pytest
from client.both_clients import BOTH_CLIENTS
from client.conftest import QUICK
from client.liar import Liar

from genrestack import (
    Client,
)


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[Liar, list[Client]]]:
    """One server, and a client of either kind."""
    liar = Liar()
    with (
        liar.serving() as target,
        BOTH_CLIENTS[0](target, retry=QUICK) as one,
        BOTH_CLIENTS[1](target, retry=QUICK) as other,
    ):
        yield liar, [one, other]


@pytest.fixture
def liar(serving: tuple[Liar, list[Client]]) -> Liar:
    serving[0].tell()
    return serving[0]


@pytest.fixture
def clients(serving: tuple[Liar, list[Client]]) -> list[Client]:
    return serving[1]
