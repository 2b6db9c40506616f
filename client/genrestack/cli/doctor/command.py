"""`genrestack doctor`: what is installed, what this machine allows, and what to do about it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genrestack.cli.connection import Connection, connection_options
from genrestack.cli.options import timeout_option

if TYPE_CHECKING:
    from genrestack.cli.doctor.finding import Finding


@click.command(
    short_help="Look over the installation and the machine, and say what to do.",
    epilog="Example: genrestack doctor --models models --port 50051",
)
@connection_options
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Where a server would listen.")
@click.option(
    "--port", metavar="N", type=click.IntRange(1, 65535), default=50051, show_default=True,
    help="The port it would take.",
)  # fmt: skip
@click.option(
    "--models", "models_dir", metavar="DIR", type=click.Path(path_type=Path),
    help="Also verify this model repository; without it, models, where there is one.",
)  # fmt: skip
@timeout_option(5.0, "How long to wait for a server's answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(
    ctx: click.Context, connection: Connection, host: str, port: int, models_dir: Path | None, timeout: float,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Check versions, extras, limits, the port and the models; nothing is changed.

    Each finding is ok, a note, or a problem, with what to do about it. A server is asked only where --server or
    GENRESTACK_SERVER names one. Exit status 1 if there is a problem.
    """
    from genrestack.cli.doctor import showing
    from genrestack.cli.doctor.network import look_at_port

    asked = ctx.get_parameter_source("server") is not click.core.ParameterSource.DEFAULT
    folder = models_dir or (Path("models") if Path("models").is_dir() else None)
    findings = [
        *_here(folder, connection.server if asked else f"{host}:{port}"),
        *look_at_port(host, port, timeout),
        *(_server(connection, timeout) if asked else ()),
    ]
    if as_json:
        click.echo(showing.as_json(findings))
    else:
        showing.show(findings)
    if any(finding.state == "problem" for finding in findings):
        raise click.exceptions.Exit(1)


def _here(models_dir: Path | None, server: str) -> "Iterator[Finding]":
    from genrestack.cli.doctor.contributed import look_at_others
    from genrestack.cli.doctor.machine import look_at_machine
    from genrestack.cli.doctor.network import look_at_proxies
    from genrestack.cli.doctor.packages import look_at_packages

    yield from look_at_packages()
    yield from look_at_others(models_dir)
    yield from look_at_machine()
    yield from look_at_proxies(server)


def _server(connection: Connection, timeout: float) -> "Iterator[Finding]":
    from genrestack.cli.doctor.finding import problem
    from genrestack.cli.doctor.network import look_at_server
    from genrestack.errors import GenreStackError

    try:
        with connection.client(timeout) as client:
            yield look_at_server(client, connection.server)
    except GenreStackError as error:
        yield problem("server", str(error), "put the option right that it names")
