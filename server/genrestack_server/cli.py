"""The `genrestack serve` command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from genrestack_server.server import Server


class CannotStart(click.ClickException):
    """The server cannot start; exit status 2."""

    exit_code = 2


@click.command(context_settings={"auto_envvar_prefix": "GENRESTACK_SERVE", "show_default": True})
@click.argument("models_dir", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("models"))
@click.option("--host", default="127.0.0.1", help="Name or address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=50051, help="TCP port; 0 picks a free one.")
@click.option(
    "--provider", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
    help="What runs the graph; auto is CUDA where it is there, else CPU.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, show_default="the CPUs this process may use",
    help="Threads of one run.",
)  # fmt: skip
@click.option("--default-model", metavar="NAME", help="Model for requests that name none, if there are several.")
@click.option(
    "--max-message-mib", type=click.IntRange(1, 1000), default=64, help="Largest request and largest answer, in MiB."
)
@click.option("--max-rows", type=click.IntRange(1), default=65_536, help="Largest number of rows in one request.")
@click.option(
    "--grace", type=click.FloatRange(0), default=30.0, metavar="SECONDS",
    help="Time for requests in flight when the server is told to stop.",
)  # fmt: skip
@click.option("--allow-empty", is_flag=True, help="Start even if a model, or every model, has no good version.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def serve(log_level: str, **options: Any) -> None:
    """Serve the models in DIR over gRPC.

    DIR is a model repository, <name>/<version>/, as `genrestack train` writes it. Of every model the newest version
    is served that is whole and answers its golden rows; health says SERVING only then. SIGTERM or Ctrl-C lets
    requests in flight finish; a second one stops at once. Every option can also be given as an environment variable,
    e.g. GENRESTACK_SERVE_PORT.

    \b
    Examples:
      genrestack serve
      genrestack serve models --host 0.0.0.0 --port 8500 --threads 2
    """  # noqa: D301 - click's mark for "do not wrap"
    from genrestack_server import logs
    from genrestack_server.config import ServerConfig
    from genrestack_server.errors import StartError
    from genrestack_server.running import run

    logs.configure(log_level)
    try:
        status = run(ServerConfig(**options), _announce)
    except StartError as error:
        raise CannotStart(str(error)) from error
    sys.exit(status)


def _announce(server: "Server") -> None:
    for served in server.models:
        threads = served.session.threads
        click.echo(
            f"serving {served.title} on {server.address} — {served.session.provider}, "
            f"{threads} {'thread' if threads == 1 else 'threads'}"
        )
    if not server.models:
        click.echo(f"serving nothing yet on {server.address}")
    sys.stdout.flush()
