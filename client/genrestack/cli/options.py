"""Options that several subcommands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def model_options(command: _Command) -> _Command:
    """Add `--model NAME` and `--version N`."""
    model = click.option("--model", metavar="NAME", help="The model to ask; without it, the server's default.")
    version = click.option(
        "--version", metavar="N", type=click.IntRange(1), help="Its version; without it, the newest."
    )
    return model(version(command))


def timeout_option(seconds: float, text: str) -> Callable[[_Command], _Command]:
    """Add `--timeout SECONDS`."""

    def add(command: _Command) -> _Command:
        positive = click.FloatRange(0, min_open=True)
        return click.option(
            "--timeout", metavar="SECONDS", type=positive, default=seconds, show_default=True, help=text
        )(command)

    return add
