"""Host and port: can they be listened on, and how to say so when not."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

from genrestack_server.errors import AddressError, StartError

# An address this machine does not have among several that a name stands for, e.g. IPv6 in a container without it.
_ABSENT: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_NOT_TCP: Final = ("unix:", "unix-abstract:", "vsock:")
_MAPPED: Final = "::ffff:"
# Connections that may wait to be accepted.
_BACKLOG: Final = 1024


class Flags(NamedTuple):
    """Which settings choose an address, for messages that say what to change."""

    host: str = "--host"
    port: str = "--port"


GRPC: Final = Flags()
HTTP: Final = Flags(port="--http-port")
METRICS: Final = Flags("--metrics-host", "--metrics-port")


def check_address(host: str, port: int, flags: Flags = GRPC) -> None:
    """Bind every address a host name stands for, and let go again.

    gRPC itself is content with one of them, and says little when it gets none.

    Raises:
        AddressError: naming the host or port at fault and what to do.

    """
    absent: OSError | None = None
    usable = 0
    for family, address in resolve(host, port, flags):
        try:
            _bind(family, address)
            usable += 1
        except OSError as error:
            if error.errno not in _ABSENT:
                raise address_error(host, port, error, flags) from error
            absent = error
    if absent is not None and not usable:
        raise address_error(host, port, absent, flags) from absent


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches every address a host name stands for.

    Raises:
        AddressError: the name is not known here.

    """
    found = [str(address[0]).partition("%")[0] for _, address in resolve(host, 0)]
    return all(ipaddress.ip_address(text).is_loopback for text in found)


def join_address(host: str, port: int) -> str:
    """Write `host:port`, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str, port: int, flags: Flags = GRPC) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Find every family and address a host name stands for.

    Raises:
        AddressError: it stands for none.

    """
    if (correction := _correction(host, flags)) is not None:
        raise AddressError(f"{flags.host} {host}: {correction}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"{flags.host} {host} is not a name or address this machine knows; try 127.0.0.1") from error
    return [(entry[0], entry[4]) for entry in found]


def _correction(host: str, flags: Flags) -> str | None:
    """Return what to write in place of what gRPC or a URL would take, and a host is not."""
    if "/" in host or host.startswith(_NOT_TCP):
        return "only TCP is served, no socket file; give a name or an address such as 127.0.0.1"
    if host.startswith("[") and host.endswith("]"):
        return f"an IPv6 address is written without brackets: {flags.host} {host[1:-1]}"
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.startswith("[")):
        return f"the port is a setting of its own: {flags.host} {name.strip('[]')} {flags.port} {port}"
    if host.lower().startswith(_MAPPED):
        return f"an IPv4 address is written as it is: {flags.host} {host[len(_MAPPED) :]}"
    return None


def _bind(family: int, address: tuple[Any, ...]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gRPC does: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
        probe.listen(1)


def address_error(host: str, port: int, error: OSError, flags: Flags = GRPC) -> AddressError:
    """Return why an address cannot be listened on, and which settings choose another."""
    to_host, to_port = flags
    if error.errno == errno.EADDRINUSE:
        text = f"port {port} on {host} is taken by another program; stop it, or choose another with {to_port} (0: any)"
    elif error.errno == errno.EACCES:
        text = f"port {port} on {host} needs rights this user does not have; choose one above 1023 with {to_port}"
    elif error.errno in _ABSENT:
        text = (
            f"{host} is not an address of this machine; choose another with {to_host} (127.0.0.1, or 0.0.0.0 for all)"
        )
    else:
        where = join_address(host, port)
        text = f"cannot listen on {where} ({error.strerror}); choose another with {to_host} and {to_port}"
    return AddressError(text)


@contextmanager
def reserved_port(host: str, port: int, flags: Flags = GRPC) -> Iterator[int]:
    """Keep a port for processes that will share it; yields its number, a free one for 0.

    First makes sure that the port is free: with SO_REUSEPORT alone a second server on a busy port would take half
    of its connections without a word. The sockets that then hold the port never listen, so the kernel hands them no
    connection, and they refuse it to everybody who does not share it in the same way.

    Raises:
        AddressError: the host or port cannot be listened on.
        StartError: this system cannot share ports.

    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise StartError("this system has no SO_REUSEPORT, which several workers need; serve with --workers 1")
    check_address(host, port, flags)
    with ExitStack() as held:
        absent: OSError | None = None
        for family, address in resolve(host, port, flags):
            try:
                reserved = held.enter_context(_reserve(family, address, port))
            except OSError as error:
                # What `check_address` let pass: a family this machine does not have, among others that it has.
                absent = error
            else:
                port = reserved.getsockname()[1]
        if not port:
            raise address_error(host, port, absent or OSError(), flags) from absent
        yield port


def _reserve(family: int, address: tuple[Any, ...], port: int) -> socket.socket:
    reserved = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Past connections may linger on the port; from then on no other process may do as we did.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((address[0], port, *address[2:]))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        reserved.close()
        raise
    return reserved


def open_listeners(host: str, port: int, flags: Flags, *, shares_port: bool) -> list[socket.socket]:
    """Listen on every address a host name stands for, without blocking; for port 0 on a free one, the same on all.

    Raises:
        AddressError: the host or port cannot be listened on.

    """
    with ExitStack() as opened:
        listeners: list[socket.socket] = []
        absent: OSError | None = None
        for family, address in resolve(host, port, flags):
            try:
                listener = opened.enter_context(_listener(family, (address[0], port, *address[2:]), shares_port))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise address_error(host, port, error, flags) from error
                absent = error
            else:
                listeners.append(listener)
                port = listener.getsockname()[1]
        if not listeners:
            raise address_error(host, port, absent or OSError(), flags) from absent
        opened.pop_all()
        return listeners


def _listener(family: int, address: tuple[Any, ...], shares_port: bool) -> socket.socket:  # noqa: FBT001
    # By name, or asyncio does not know it for TCP and leaves Nagle's algorithm on: 40 ms for each answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # All addresses of this machine are those of IPv4 too, as gRPC has it.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
