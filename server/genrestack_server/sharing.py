"""One port for several processes: reserved here, listened on by each of them (SO_REUSEPORT)."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from genrestack_server.errors import StartError
from genrestack_server.listening import address_error, check_address, resolve


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for processes that will share it; yields its number, a free one for 0.

    First makes sure that nobody else has it: with SO_REUSEPORT alone a second server on a busy port would take half
    of its connections without a word. The sockets that then hold the port never listen, so the kernel hands them no
    connection, and they refuse it to everybody who does not share it in the same way.

    Raises:
        AddressError: the host or port cannot be listened on.
        StartError: this system cannot share ports.

    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise StartError("this system has no SO_REUSEPORT, which several workers need; serve with --workers 1")
    check_address(host, port)
    with ExitStack() as held:
        absent: OSError | None = None
        for family, address in resolve(host, port):
            try:
                keeper = held.enter_context(_keeper(family, address, port))
            except OSError as error:
                # What `check_address` let pass: a family this machine does not have, among others that it has.
                absent = error
            else:
                port = keeper.getsockname()[1]
        if not port:
            raise address_error(host, port, absent or OSError()) from absent
        yield port


def _keeper(family: int, address: tuple[Any, ...], port: int) -> socket.socket:
    keeper = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            keeper.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Past connections may linger on the port; from then on nobody else may do as we did.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind((address[0], port, *address[2:]))
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        keeper.close()
        raise
    return keeper
