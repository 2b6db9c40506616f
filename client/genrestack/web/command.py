"""`genrestack web`: a page in the browser to drop songs on."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from genrestack.cli.connection import Connection, client_or_loaded, connection_options, models_option
from genrestack.cli.options import model_options, timeout_option
from genrestack_common.text import printable

if TYPE_CHECKING:
    from genrestack import Client, ModelInfo

_BACKLOG: Final = 128
_LOOPBACK_NAMES: Final = ["127.0.0.1", "localhost", "[::1]"]


@click.command(
    short_help="Open a page to drop songs on.",
    epilog="Example: genrestack web --server localhost:50051 --port 8080",
)
@connection_options
@models_option
@model_options
@timeout_option(60.0, "How long to wait for the answer to some windows.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where the page listens.")
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free."
)
@click.option(
    "--max-upload-mib", metavar="N", type=click.IntRange(1, 65536), default=1024, show_default=True,
    help="The largest recording that is taken.",
)  # fmt: skip
@click.pass_context
def web(
    ctx: click.Context,
    *,
    connection: Connection,
    folder: Path | None,
    model: str | None,
    version: int | None,
    timeout: float,
    host: str,
    port: int,
    max_upload_mib: int,
) -> None:
    """Serve a page on this machine that shows what a model hears in songs.

    Recordings are read here and never leave the machine: only their features go to the server, or nothing at all with
    --models, which loads the models here. A token goes to the server too, and never to the browser.
    """
    import uvicorn

    from genrestack.web.app import make_app

    with client_or_loaded(ctx, connection, folder, model, version, timeout) as client:
        info = _model_of_songs(client, model, version)
        app = make_app(client, info, hosts=_hosts(host), max_upload_mib=max_upload_mib)
        with _listening(host, port) as listener:
            _announce(host, listener.getsockname()[1], info)
            settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
            uvicorn.Server(settings).run([listener])


def _model_of_songs(client: "Client", model: str | None, version: int | None) -> "ModelInfo":
    from genrestack.songs.recording import check_installed, check_model_of_songs, first_time

    check_installed()
    info = client.model(model, version)
    check_model_of_songs(info)
    if note := first_time():
        click.echo(note, err=True)
    return info


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise click.ClickException(f"--host {host} is not an address of this machine; leave it out") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise click.ClickException(f"{host}:{port} cannot be listened on; choose another --port, or 0") from error
        yield listener


def _announce(host: str, port: int, info: "ModelInfo") -> None:
    shown = f"[{host}]" if ":" in host else host
    if not _is_loopback(host):
        click.echo(
            f"warning: everybody who reaches {shown}:{port} can send songs and read answers; there is no password. "
            "Without --host only this machine can",
            err=True,
        )
    click.echo(f"{printable(info.name)}/{info.version} hears songs at http://{shown}:{port} (Ctrl-C ends it)")


def _hosts(host: str) -> list[str]:
    """Return the names by which the page may be asked for: another's name for this machine is a trick."""
    return _LOOPBACK_NAMES if _is_loopback(host) else ["*"]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
