"""The `genrestack` command: a shell around subcommands that other packages contribute.

A subcommand is an entry point of the group `genrestack.commands`. Its module is imported when the subcommand is called
or listed, and imports the heavy things only when it runs.
"""

import logging
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NoReturn

import click

from genrestack.cli.pythons import without_tensorflow
from genrestack.cli.standard_streams import OutputLost, guard_streams
from genrestack.errors import GenreStackError
from genrestack_common.text import closest, printable

GROUP: Final = "genrestack.commands"
EXTRAS: Final = {
    "features": "audio",
    "train": "train",
    "export": "train",
    "report": "train",
    "evaluate": "train",
    "serve": "server",
    "predict": "audio",
    "bench": "plot",
    "demo": "train,server,audio",
    "web": "web",
}
"""What has to be installed for a subcommand whose libraries are missing."""

_EXTRA_OF_LIBRARY: Final = {"ray": "ray"}
"""Libraries that only some option of a subcommand asks for."""

_FITS_NETWORKS: Final = ("train", "demo")
"""Subcommands that cannot do without TensorFlow; `export` can, where a stack holds no network."""

_INTERRUPTED: Final = 130


class SeveralLines(click.ClickException):
    """An error whose lines are meant, and safe to be shown."""


class Shell(click.Group):
    """A click group whose subcommands are entry points, loaded when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List every subcommand that is installed."""
        return sorted(_contributed())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load one subcommand; one whose libraries are missing is listed all the same."""
        entry = _contributed().get(cmd_name)
        if entry is None:
            return None
        try:
            command: click.Command = entry.load()
        except ModuleNotFoundError as error:
            return _stand_in(cmd_name, error)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or say which ones have a similar name."""
        name = args[0]
        if name in _contributed() or name.startswith("-"):
            return super().resolve_command(ctx, args)
        close = closest(name, self.list_commands(ctx))
        hint = f"did you mean {close}?" if close else "genrestack --help lists them."
        raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; what a person can act on becomes one line."""
        try:
            return super().invoke(ctx)
        except GenreStackError as error:
            raise click.ClickException(printable(str(error))) from error
        except SeveralLines:
            raise
        except click.ClickException as error:
            vars(error).update(message=printable(error.message))
            raise
        except ModuleNotFoundError as error:
            raise _missing(ctx.invoked_subcommand or "", error) from error


@click.group(cls=Shell, epilog="Example: genrestack demo", no_args_is_help=True)
@click.version_option(package_name="genrestack", prog_name="genrestack", message="%(prog)s %(version)s")
def cli() -> None:
    """Train a stacked ensemble, export it exactly, serve it over gRPC, ask it.

    Each command explains itself: genrestack COMMAND --help
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the process with its exit status."""
    guard_streams()
    # Of libraries without a log handler: gRPC's quotes what a server has sent.
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_OneLine())
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 130 if interrupted, 141 if the output's reader went away."""
    try:
        status = cli.main(args=arguments, prog_name="genrestack", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        # Here also arrives what click itself says of the words that were typed, such as a whole help.
        vars(error).update(message="\n".join(map(printable, error.message.split("\n"))))
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except OutputLost as lost:
        if lost.message:
            click.echo(f"Error: {lost.message}", err=True)
        return lost.status
    return status if isinstance(status, int) else 0


def _contributed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _missing(name: str, error: ModuleNotFoundError) -> click.ClickException | ModuleNotFoundError:
    """One line for a library that is not installed; a missing module of our own is a bug and stays what it is."""
    module = (error.name or "").partition(".")[0]
    if not module or module.startswith("genrestack"):
        return error
    if module in _EXTRA_OF_LIBRARY:
        return click.ClickException(f'{module} is not installed: pip install "genrestack[{_EXTRA_OF_LIBRARY[module]}]"')
    if (lacking := without_tensorflow()) and (name in _FITS_NETWORKS or module == "tensorflow"):
        return click.ClickException(f"genrestack {name} needs {lacking}")
    if name in EXTRAS:
        return click.ClickException(f'genrestack {name} needs: pip install "genrestack[{EXTRAS[name]}]"')
    return click.ClickException(f"genrestack {name} needs the library {module}: pip install {module}")


def _stand_in(name: str, error: ModuleNotFoundError) -> click.Command:
    missing = _missing(name, error)
    if not isinstance(missing, click.ClickException):
        raise missing

    def explain(**_: object) -> NoReturn:
        raise missing

    hidden = {"ignore_unknown_options": True, "allow_extra_args": True}
    summary = missing.message.removeprefix(f"genrestack {name} ")
    return click.Command(name, callback=explain, short_help=summary, add_help_option=False, context_settings=hidden)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(record.getMessage())
