"""Every command that a page or an example shows is one that there is, with options that it has."""

import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from conftest import ROOT

# errors.md shows what is answered to commands that are wrong.
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "errors"),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.py")),
]
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`|^ *(\$ .*)$", re.MULTILINE | re.DOTALL)
# Up to what ends a command, or speaks of another one.
SHOWN = re.compile(r"(?<!from )\bgenrestack ([a-z]+)\b([^\n`|&;>#…·]*)")


@cache
def commands() -> dict[str, click.Command]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    places = {name: place.split(":") for name, place in project["entry-points"]["genrestack.commands"].items()}
    return {name: getattr(importlib.import_module(module), function) for name, (module, function) in places.items()}


def shown(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Return each command shown on a page, with the options it is given."""
    for found in CODE.finditer(page.read_text(encoding="utf-8")):
        code = next(group for group in found.groups() if group).replace("\\\n", " ")
        for name, rest in SHOWN.findall(code):
            yield name, re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in PAGES])
def test_commands_are_there(page: str) -> None:
    for name, options in shown(ROOT / page):
        command = commands().get(name)
        assert command, f"{page} shows `genrestack {name}`, which is not a command"
        parameters = command.get_params(click.Context(command))
        known = {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}
        assert set(options) <= known, f"{page}: genrestack {name} has no {sorted(set(options) - known)}"


def test_pages_do_show_commands() -> None:
    everything = [command for page in PAGES for command in shown(page)]
    assert len(everything) > 50
    assert {name for name, _ in everything} >= {"train", "export", "serve", "predict", "health", "demo", "doctor"}
