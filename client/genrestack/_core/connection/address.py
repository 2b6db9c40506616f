"""Where a client connects: one address, a name behind which there are several, or a list."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from genrestack._core.invalid import invalid

_BALANCED: Final = ("dns:", "ipv4:", "ipv6:")
_WEB: Final = ("http://", "https://", "grpc://", "grpcs://")
_SPREAD: Final = {4: "ipv4", 6: "ipv6"}


@dataclass(frozen=True)
class Address:
    """What gRPC is told to connect to, and what a person is told of it."""

    target: str
    """As gRPC takes it."""
    shown: str
    """As the caller gave it; several with commas between them."""
    loopback: bool
    """Whether nothing that is sent there leaves this machine."""
    several: bool
    """Whether there may be several servers behind it, all of which are to be asked."""

    @classmethod
    def of(cls, target: str | Sequence[str]) -> "Address":
        """Read what a caller gave.

        Raises:
            InvalidInput: it is empty, or a list that holds something else than IP addresses with ports.

        """
        listed = [target] if isinstance(target, str) else list(target)
        if not listed or not all(listed):
            raise invalid("target", "is empty; give HOST:PORT")
        for each in listed:
            if each.startswith(_WEB):
                raise invalid("target", f"is {each!r}; give HOST:PORT alone, and whether it speaks TLS apart from it")
        if len(listed) == 1:
            one = listed[0]
            return cls(one, one, _is_loopback(one), one.startswith(_BALANCED))
        return cls(_joined(listed), ",".join(listed), all(map(_is_loopback, listed)), several=True)


def _joined(listed: Sequence[str]) -> str:
    versions = set()
    addresses = []
    for each in listed:
        host, _, port = each.rpartition(":")
        try:
            address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
        except ValueError:
            raise invalid(
                "target",
                f"lists {each!r}, and a list holds IP addresses with ports; for servers behind one name give "
                f"dns:///NAME:PORT",
            ) from None
        if not port.isdecimal():
            raise invalid("target", f"lists {each!r}, which has no port; give ADDRESS:PORT")
        versions.add(address.version)
        addresses.append(f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}")
    if len(versions) > 1:
        raise invalid("target", "mixes IPv4 and IPv6 addresses; list one kind")
    return f"{_SPREAD[versions.pop()]}:{','.join(addresses)}"


def _is_loopback(target: str) -> bool:
    """Return whether an address, in any form that gRPC takes, surely lies on this machine."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    scheme, _, rest = target.partition(":")
    if scheme == "dns":
        return _is_loopback_host(_host(_without_authority(rest)))
    hosts = rest.split(",") if scheme in _SPREAD.values() else [target]
    return all(_is_loopback_host(_host(host)) for host in hosts)


def _without_authority(rest: str) -> str:
    """Return NAME:PORT from what follows `dns:`, which may be `//AUTHORITY/NAME:PORT`."""
    return rest[2:].partition("/")[2] if rest.startswith("//") else rest


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
