"""The `genrestack serve` command."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from genrestack_server.config.flags import SettingsCommand, given


class CannotStart(click.ClickException):
    """The server cannot start; exit status 2."""

    exit_code = 2


@click.command(cls=SettingsCommand)
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), envvar="GENRESTACK_SERVE_CONFIG",
    help="TOML file of settings.",
)  # fmt: skip
@click.option("--print-config", is_flag=True, help="Print the effective settings as TOML, with their origin; and stop.")
@click.pass_context
def serve(ctx: click.Context, /, config: Path | None, *, print_config: bool, **_: Any) -> None:
    """Serve the models in DIR over gRPC.

    DIR (default: models) is a model repository, <name>/<version>/, as `genrestack train` writes it. Of every model the
    newest version is served that is whole and answers its golden rows; health says SERVING only then. SIGTERM or
    Ctrl-C lets requests in flight finish; a second one stops at once.

    Every setting below is also an environment variable (--max-rows is GENRESTACK_SERVE_MAX_ROWS) and a key of the
    file given with --config (max_rows in its section). A flag wins over a variable, a variable over the file.

    \b
    Examples:
      genrestack serve
      genrestack serve models --host 0.0.0.0 --port 8500 --threads 2
      genrestack serve --tls-cert server.pem --tls-key server.key --token-file tokens
      genrestack serve --max-rows 1000 --print-config > serve.toml
      genrestack serve --config serve.toml
    """  # noqa: D301 - click's mark for "do not wrap"
    import os

    from genrestack_server.config.sources import effective, unknown_variables
    from genrestack_server.errors import StartError
    from genrestack_server.telemetry import log_setup

    try:
        found = effective(given(ctx), os.environ, config)
        if print_config:
            _print(found)
            return
        log_setup.configure(found.config.log_level, found.config.log_format)
        log_setup.warn(unknown_variables(os.environ))

        from genrestack_server.process.runner import run

        status = run(found.config, _announce)
    except StartError as error:
        log_setup.flush()
        raise CannotStart(str(error)) from error
    sys.exit(status)


def _print(found: Any) -> None:
    from genrestack_server.config.sources import as_toml

    click.echo(as_toml(found), nl=False)


def _announce(lines: Sequence[str]) -> None:
    """Print where the server listens; a failure to print them does not keep the server from serving."""
    try:
        for line in lines:
            click.echo(line)
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 - the command's standard output fails in its own way
        logging.getLogger(__name__).warning("cannot write where this server listens to standard output (%s)", error)
