"""When an execution begins: at once for a lone request, and in company when nobody else is just coming in. Pure."""

from typing import Final

# A call that has reached this machine takes gRPC's Python side up to about ten turns of the loop to hand over: accept,
# arm for the next, receive the message, start the handler.
_QUIET_TURNS: Final = 12
# Executions shared by this many requests, on average over the last few, are company.
_COMPANY: Final = 1.5
_MEMORY: Final = 0.5


class Gathering:
    """Asked once in each turn of the event loop while rows wait and nothing runs.

    Beginning with the first of many who are about to arrive would leave the others to executions of one or two rows
    each, which cost several times as much a row. Waiting for them is free where there are none: a request that has had
    no company lately begins at once.
    """

    def __init__(self) -> None:
        self._company = 0.0
        self._seen = 0
        self._quiet = 0

    def another_turn(self, waiting_rows: int) -> bool:
        """Tell whether the loop should first turn once more."""
        if self._company < _COMPANY:
            return False
        self._quiet = self._quiet + 1 if waiting_rows == self._seen else 0
        self._seen = waiting_rows
        return self._quiet < _QUIET_TURNS

    def begun(self, requests: int) -> None:
        """Take note of an execution, and of how many requests it answers."""
        self._company = max(float(requests), self._company * _MEMORY)
        self._seen = self._quiet = 0
