"""What both clients raise at an answer that is nonsense."""

from typing import Any

import numpy as np
from client.both_clients import BOTH_CLIENTS, Ask, Raised, outcome
from client.liar import Liar

from genrestack import (
    Client,
)


def raised(clients: list[Client], ask: Ask) -> Raised:
    """Ask both; return what they agree on."""
    seen = [outcome(ask, client) for client in clients]
    assert seen[0] == seen[1]
    assert isinstance(seen[0], Raised)
    return seen[0]


def rows(count: int) -> "np.ndarray[Any, Any]":
    return np.zeros((count, 2))


def raised_by_new_clients(liar: Liar, ask: Ask, **settings: Any) -> Raised:
    """Ask by clients with other settings."""
    with (
        liar.serving() as target,
        BOTH_CLIENTS[0](target, **settings) as one,
        BOTH_CLIENTS[1](target, **settings) as other,
    ):
        return raised([one, other], ask)
