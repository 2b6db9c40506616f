"""How a subcommand reaches its server: the options all of them share, and the client they add up to."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from genrestack import Client
    from genrestack._core.connection.options import ClientOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])
_VARIABLE: Final = "GENRESTACK_TOKEN"
_FILE = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Which server is asked, and how."""

    server: str
    """As it was given."""
    tls: bool
    ca: Path | None
    cert: Path | None
    key: Path | None
    server_name: str | None
    token_file: Path | None
    plaintext_token: bool

    def client(self, timeout: float) -> "Client":
        """Return a client, which the caller closes."""
        from genrestack import Client

        return Client(timeout=timeout, **self._settings())

    def options(self, timeout: float, **others: Any) -> "ClientOptions":
        """Make the options alone, for those who call by other means."""
        from genrestack._core.connection.options import ClientOptions

        return ClientOptions(timeout=timeout, **self._settings(), **others)

    def _settings(self) -> dict[str, Any]:
        from genrestack import TLS

        listed = [address.strip() for address in self.server.split(",")]
        named = any(given is not None for given in (self.ca, self.cert, self.key, self.server_name))
        tls = TLS(ca=self.ca, cert=self.cert, key=self.key, server_name=self.server_name) if named else self.tls
        return {
            "target": self.server if len(listed) == 1 or ":///" in self.server else listed,
            "tls": tls,
            # A file that is named for this one call wins over what lies in the environment for all.
            "token": None if self.token_file is not None else os.environ.get(_VARIABLE) or None,
            "token_file": self.token_file,
            "allow_plaintext_token": self.plaintext_token,
        }


def connection_options(command: _Command) -> _Command:
    """Add `--server` and all that goes with it; the command gets a `Connection` as `connection`."""

    @wraps(command)
    def connected(*args: Any, **options: Any) -> Any:
        settings = {field.name: options.pop(field.name) for field in fields(Connection)}
        return command(*args, connection=Connection(**settings), **options)

    for option in reversed(_options()):
        connected = option(connected)
    return connected  # type: ignore[return-value] # click's decorators add to the function they are given


def models_option(command: _Command) -> _Command:
    """Add `--models DIR`, of models that are asked without a server; the command gets it as `folder`."""
    return click.option(
        "--models", "folder", metavar="DIR", type=_FILE,
        help="Ask without a server: load from this model repository, or folder of a model.",
    )(command)  # fmt: skip


def client_or_loaded(
    ctx: click.Context,
    connection: Connection,
    folder: Path | None,
    model: str | None,
    version: int | None,
    timeout: float,
) -> "Client":
    """Make a client of the server, or of the models in a folder; the caller closes it.

    Raises:
        click.UsageError: both are named.
        click.ClickException: what loads models is not installed.

    """
    if folder is None:
        return connection.client(timeout)
    if ctx.get_parameter_source("server") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--models asks without a server, and --server names one; give one of the two")
    from genrestack import load

    try:
        return load(folder, model=model, version=version, timeout=timeout)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error


def _options() -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "--server", metavar="HOST:PORT", default="localhost:50051", show_default=True, envvar="GENRESTACK_SERVER",
            show_envvar=True, help="The server to ask; several IP addresses, with commas between, in turn.",
        ),
        click.option(
            "--tls", is_flag=True, envvar="GENRESTACK_TLS", show_envvar=True,
            help="The server speaks TLS, with a certificate that public authorities vouch for, or --ca.",
        ),
        click.option(
            "--ca", metavar="FILE", type=_FILE, envvar="GENRESTACK_CA", show_envvar=True,
            help="Trust the servers that the certificates in this PEM file vouch for; means --tls.",
        ),
        click.option(
            "--cert", metavar="FILE", type=_FILE, envvar="GENRESTACK_CERT", show_envvar=True,
            help="This side's own certificate, with --key, where the server wants one.",
        ),
        click.option(
            "--key", metavar="FILE", type=_FILE, envvar="GENRESTACK_KEY", show_envvar=True,
            help="Private key of --cert, without password.",
        ),
        click.option(
            "--server-name", metavar="NAME", envvar="GENRESTACK_SERVER_NAME", show_envvar=True,
            help="Name in the server's certificate, where it is not that of the address.",
        ),
        click.option(
            "--token-file", metavar="FILE", type=_FILE, envvar="GENRESTACK_TOKEN_FILE", show_envvar=True,
            help="File with the bearer token to show. The token itself may be in GENRESTACK_TOKEN; not an option, "
            "because everybody on a machine can read those of its processes.",
        ),
        click.option(
            "--plaintext-token", is_flag=True, help="Send the token beyond this machine even without TLS."
        ),
    ]  # fmt: skip
