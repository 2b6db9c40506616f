"""Every command explains itself, with an example that the command would take."""

import re
import shlex
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner

from genrestack.cli import main

NAMES = sorted(entry.name for entry in entry_points(group=main.GROUP))


def examples(name: str) -> list[str]:
    """Command lines that the help of a command shows for itself."""
    text = CliRunner().invoke(main.cli, [name, "--help"], prog_name="genrestack", terminal_width=300).output
    _, _, shown = text.partition("Example")
    return re.findall(rf"(?:^|\s|\()(genrestack {name}\b[^)#\n]*)", shown)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_an_example(name: str) -> None:
    assert examples(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_in_the_examples_is_one(name: str) -> None:
    """Nor is there an example with an option that has since been renamed."""
    context = click.Context(main.cli, info_name="genrestack")
    found = main.cli.get_command(context, name)
    assert found is not None
    known = {flag for param in found.get_params(context) for flag in (*param.opts, *param.secondary_opts)}
    for line in examples(name):
        used = [word.partition("=")[0] for word in shlex.split(line.replace('"', "")) if word.startswith("-")]
        assert set(used) <= known | {"--help"}, line


def test_the_whole_command_shows_one() -> None:
    assert "Example: genrestack demo" in CliRunner().invoke(main.cli, ["--help"]).output


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_does(name: str) -> None:
    context = click.Context(main.cli, info_name="genrestack")
    found = main.cli.get_command(context, name)
    assert found is not None
    silent = [p.name for p in found.get_params(context) if isinstance(p, click.Option) and not p.help]
    assert silent == []
