"""One caller in this process, for what is not timed call by call: the first answer, and all answers."""

import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc

from benchmarks.peers.load.messages import Protocol

Ask = Callable[[bytes], bytes]
_PATIENCE_S = 120.0
_POLL_S = 0.02
_LIMITS = [("grpc.max_receive_message_length", 64 * 2**20), ("grpc.max_send_message_length", 64 * 2**20)]


@contextmanager
def asking(protocol: Protocol, port: int) -> Iterator[Ask]:
    """Connect for the length of the block.

    The function raises `grpc.RpcError`, `OSError` or `http.client.HTTPException` where there is no answer.
    """
    if protocol.transport == "grpc":
        with grpc.insecure_channel(f"127.0.0.1:{port}", _LIMITS) as channel:
            method: Any = channel.unary_unary(protocol.method)
            yield lambda request: method(request, timeout=_PATIENCE_S)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        try:
            if protocol.ready:
                _exchange(connection, "GET", protocol.ready)
            yield lambda request: _exchange(connection, "POST", protocol.method, request, protocol.headers(request))
        finally:
            connection.close()


def first_answer(protocol: Protocol, port: int, request: bytes, alive: Callable[[], bool]) -> bool:
    """Ask again and again until there is an answer; False if the server ended, or time has run out.

    Each try is a connection of its own: a channel that has been refused waits a second before it tries again.
    """
    end = time.monotonic() + _PATIENCE_S
    while alive() and time.monotonic() < end:
        try:
            with asking(protocol, port) as ask:
                ask(request)
            return True
        except (grpc.RpcError, OSError, http.client.HTTPException):
            time.sleep(_POLL_S)
    return False


def _exchange(
    connection: http.client.HTTPConnection,
    verb: str,
    path: str,
    request: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    connection.request(verb, path, request, headers or {})
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.client.OK:
        raise http.client.HTTPException(f"status {response.status}")
    return answer
