"""One connection: uvicorn's, with an end for callers who are slow, gone, or do not take their answers."""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from genrestack_server.http.exchange import JSON
from genrestack_server.http.json_text import to_json

# From the first byte of a request line to the end of its headers; and for a client that connects and says nothing.
_HEAD_WITHIN_S: Final = 20.0
# For a piece of an answer to be taken: at least 4 KiB a second.
_TAKEN_WITHIN_S: Final = 60.0
# By this much a connection's greatest age varies, so that not all clients come back at once.
_VARIES: Final = 0.1

# uvicorn logs a line for every request that is none: a caller could fill a disk. What goes wrong in an endpoint is
# logged where it is caught.
_quiet: Final = logging.getLogger("genrestack_server.http.uvicorn")
_quiet.setLevel(logging.CRITICAL + 1)


class Connection(H11Protocol):
    """Counts as open until `left` is called."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, left: Callable[[], None], max_age: float | None
    ) -> None:
        super().__init__(config, state, {"connection": self})
        self.logger = _quiet
        self.access_log = False
        self.made = self.lost = False
        """Whether it has been made, or made and lost."""
        self.task: asyncio.Task[Any] | None = None
        """What answers its request; cancelled when the connection is lost."""
        self._left = left
        varied = random.uniform(1 - _VARIES, 1 + _VARIES)  # noqa: S311 - no secret
        self._last_moment = None if max_age is None else time.monotonic() + max_age * varied
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def old(self) -> bool:
        """Whether it has reached its greatest age."""
        return self._last_moment is not None and time.monotonic() > self._last_moment

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.made = True
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is under way for a caller who is gone."""
        self.lost = True
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        if self.task is not None:
            self.task.cancel()
        self._left()

    def data_received(self, data: bytes) -> None:
        """Receive data."""
        super().data_received(data)
        self._time_head()

    def on_response_complete(self) -> None:
        """Continue with the next request, or make sure that the connection ends."""
        super().on_response_complete()
        if self.transport.is_closing():
            # It closes once the last bytes are taken, which may be never.
            self._time_write()
        else:
            self._time_head()

    def pause_writing(self) -> None:
        """Wait for the caller to take what was sent."""
        super().pause_writing()
        self._time_write()

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Refuse what is not HTTP, in JSON as everything else."""
        status = getattr(sys.exc_info()[1], "error_status_hint", 400)
        text = "the headers are too large" if status == 431 else "this is not an HTTP/1.1 request"
        body = to_json({"error": text, "code": "INVALID_ARGUMENT"})
        headers = [("content-type", JSON), ("content-length", str(len(body))), ("connection", "close")]
        try:
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            # An answer is being sent, or was: there is no place for another.
            pass
        self.transport.close()
        self._time_write()

    def _time_head(self) -> None:
        """Bound the time until the headers of the next request are there, once they have begun to come."""
        begun = self.timeout_keep_alive_task is None or self.conn.trailing_data[0]
        waits = self.conn.their_state is h11.IDLE and begun
        if not waits and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        elif waits and self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(_HEAD_WITHIN_S, self.transport.abort)

    def _time_write(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(_TAKEN_WITHIN_S, self.transport.abort)
