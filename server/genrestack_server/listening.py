"""Host and port: can they be listened on, and how to say so when not."""

import errno
import ipaddress
import socket
from typing import Any, Final

from genrestack_server.errors import AddressError

# An address this machine does not have among several that a name stands for, e.g. IPv6 in a container without it.
_ABSENT: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_NOT_TCP: Final = ("unix:", "unix-abstract:", "vsock:")
_MAPPED: Final = "::ffff:"


def check_address(host: str, port: int, prefix: str = "") -> None:
    """Bind every address a host name stands for, and let go again; `prefix` as in `address_error`.

    gRPC itself is content with one of them, and says little when it gets none.

    Raises:
        AddressError: naming the host or port at fault and what to do.

    """
    absent: OSError | None = None
    usable = 0
    for family, address in resolve(host, port, prefix):
        try:
            _bind(family, address)
            usable += 1
        except OSError as error:
            if error.errno not in _ABSENT:
                raise address_error(host, port, error, prefix) from error
            absent = error
    if absent is not None and not usable:
        raise address_error(host, port, absent, prefix) from absent


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches every address a host name stands for.

    Raises:
        AddressError: the name is not known here.

    """
    found = [str(address[0]).partition("%")[0] for _, address in resolve(host, 0)]
    return all(ipaddress.ip_address(text).is_loopback for text in found)


def join_address(host: str, port: int) -> str:
    """Write `host:port`, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str, port: int, prefix: str = "") -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Find every family and address a host name stands for.

    Raises:
        AddressError: it stands for none.

    """
    if (mended := _mended(host, prefix)) is not None:
        raise AddressError(f"--{prefix}host {host}: {mended}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise AddressError(
            f"--{prefix}host {host} is not a name or address this machine knows; try 127.0.0.1"
        ) from error
    return [(entry[0], entry[4]) for entry in found]


def _mended(host: str, prefix: str) -> str | None:
    """Say what to write in place of what gRPC or a URL would take, and a host is not."""
    if "/" in host or host.startswith(_NOT_TCP):
        return "only TCP is served, no socket file; give a name or an address such as 127.0.0.1"
    if host.startswith("[") and host.endswith("]"):
        return f"an IPv6 address is written without brackets: --{prefix}host {host[1:-1]}"
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.startswith("[")):
        return f"the port is a setting of its own: --{prefix}host {name.strip('[]')} --{prefix}port {port}"
    if host.lower().startswith(_MAPPED):
        return f"an IPv4 address is written as it is: --{prefix}host {host[len(_MAPPED) :]}"
    return None


def _bind(family: int, address: tuple[Any, ...]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gRPC does: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
        probe.listen(1)


def address_error(host: str, port: int, error: OSError, prefix: str = "") -> AddressError:
    """Say why an address cannot be listened on, and that `--<prefix>host` and `--<prefix>port` choose another."""
    to_host, to_port = f"--{prefix}host", f"--{prefix}port"
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
