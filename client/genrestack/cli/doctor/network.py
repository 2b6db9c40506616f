"""The port a server would take, the server that is asked, and proxies on the way."""

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from genrestack.cli.doctor.finding import Finding, note, ok, problem
from genrestack_common.text import listed

if TYPE_CHECKING:
    from genrestack import Client

# In the order in which gRPC looks at them; it reads them in small letters alone.
_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_SHOWN_MODELS: Final = 20
_EXCEPT: Final = ("no_grpc_proxy", "no_proxy")


def look_at_port(host: str, port: int, timeout: float) -> Iterator[Finding]:
    """Check whether a server could take this port; if not, ask within `timeout` seconds who has it."""
    subject = f"port {port}"
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As a server would: a port whose last connections are still winding down is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # Those who share a port bind it too; to listen is what only one can.
            probe.listen(1)
    except OSError as error:
        yield _not_free(subject, host, port, error, timeout)
    else:
        yield ok(subject, f"free on {where}")


def _not_free(subject: str, host: str, port: int, error: OSError, timeout: float) -> Finding:
    if error.errno == errno.EADDRINUSE:
        return _taken(subject, host, port, timeout)
    if error.errno == errno.EACCES:
        return problem(subject, f"this user may not listen on {host}:{port}", "choose a port of 1024 or more: --port N")
    return problem(subject, f"{host} is not an address of this machine", "choose another with --host")


def _taken(subject: str, host: str, port: int, timeout: float) -> Finding:
    from genrestack import Client
    from genrestack.errors import GenreStackError

    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened on
    near = everywhere.get(host, host)
    try:
        with Client(f"[{near}]:{port}" if ":" in near else f"{near}:{port}", timeout=timeout) as client:
            return ok(subject, f"taken by a GenreStack server: {_served(client)}")
    except GenreStackError:
        return problem(
            subject,
            f"taken on {host} by something that does not answer as a GenreStack server (without TLS)",
            f"serve on another: genrestack serve --port N; who has it: ss -ltnp 'sport = :{port}'",
        )


def look_at_server(client: "Client", shown: str) -> Finding:
    """Ask a server whether it is ready, and what it serves."""
    from genrestack import Health
    from genrestack.errors import GenreStackError

    try:
        state = client.health()
        found = f"{shown} is {state}: {_served(client)}"
    except GenreStackError as error:
        return problem("server", str(error), "see that it runs there: genrestack health --server " + shown)
    if state is Health.SERVING:
        return ok("server", found)
    return problem("server", found, "it loads, stops, or has no good model; its log says which")


def _served(client: "Client") -> str:
    models = (f"{model.name}/{model.version}" for model in client.models())
    return listed(models, _SHOWN_MODELS) or "no model yet"


def look_at_proxies(server: str, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Report whether calls go through a proxy; `server` is HOST:PORT."""
    name = next((name for name in _PROXIES if environ.get(name)), None)
    if name is None:
        return
    host = server.rpartition(":")[0].strip("[]") or server
    excepted = next((environ[each] for each in _EXCEPT if environ.get(each)), "")
    direct = any(host == each or host.endswith("." + each.lstrip(".")) for each in _listed(excepted))
    if _loopback(host):
        if not direct:
            yield note(
                "proxy",
                f"{name} is set; this client does not use it on this machine's own addresses, other gRPC clients do",
                f"export no_proxy={','.join([*_listed(excepted), 'localhost', '127.0.0.1'])}",
            )
    elif not direct:
        yield note(
            "proxy",
            f"{name} is set, so calls to {host} go through it",
            f"if it does not let HTTP/2 through: export no_proxy={','.join([*_listed(excepted), host])}",
        )


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
