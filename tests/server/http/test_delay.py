"""Answers leave at once, not when the caller's kernel acknowledges the first half of them."""

import asyncio
import socket
from typing import Any

from server.http.asking import Http
from server.running.live import Running
from server.running.watching import on_loop


def test_connections_do_not_wait_for_acknowledgements(http_server: Running, http: Http) -> None:
    assert http.get("/v2").status == 200
    server: Any = http_server.server

    async def options() -> list[int]:
        await asyncio.sleep(0)
        transports = [connection.transport for connection in server._http._connections()]
        return [each.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in transports]

    found = on_loop(http_server, options())
    assert found
    assert all(found)
