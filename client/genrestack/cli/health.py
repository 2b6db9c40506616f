"""`genrestack health`: one line, and an exit status fit for a container probe."""

import click

from genrestack.cli.connection import Connection, connection_options
from genrestack.cli.options import model_options, timeout_option
from genrestack_common.text import printable


@click.command(
    short_help="Check whether a server is ready, by exit status.",
    epilog="Example: genrestack health --server localhost:50051 --model gtzan",
)
@connection_options
@model_options
@timeout_option(5.0, "How long to wait for the answer.")
@click.option(
    "--wait", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="Wait so long for it to become SERVING."
)
def health(connection: Connection, model: str | None, version: int | None, timeout: float, wait: float | None) -> None:
    """Check whether a server is ready: exit status 0 if it is SERVING, else 1."""
    from genrestack import Health

    if version and not model:
        raise click.UsageError("--version needs --model NAME")
    with connection.client(timeout) as client:
        if wait is not None:
            client.wait_until_ready(wait, model=model, version=version)
        state = client.health(model, version)
    asked = "" if model is None else f" {model}" if version is None else f" {model}/{version}"
    note = " (no such model is served)" if state is Health.UNKNOWN and model else ""
    click.echo(f"{printable(connection.server + asked)}: {state}{note}")
    if state is not Health.SERVING:
        raise click.exceptions.Exit(1)
