"""Text of others on its way out: names, labels, file names and messages may hold anything.

- `cell(text)`: for CSV. Printable, and nothing that a spreadsheet would take for a formula.
- `json_text(value)`: JSON in plain ASCII.
- `show_lines(text)`: broken between words, as wide as the terminal; `show_boxed(text)`: the one line to go by.
"""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from genrestack_common.text import printable

if TYPE_CHECKING:
    from rich.console import Console

# Also after a semicolon: where the comma is the decimal mark, spreadsheets separate cells by it.
_FORMULA: Final = re.compile(r"(^|;)(?=\s*[=+\-@＝＋－＠])")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def cell(text: str | None) -> str:
    """Return a text as a cell of CSV: printable, and what begins as a formula has an apostrophe before it.

    So does OWASP advise against CSV injection. Numbers stay what they are: a label of -1 is not a formula.
    """
    safe = printable(text or "")
    return safe if _NUMBER.fullmatch(safe) else _FORMULA.sub(r"\1'", safe)


# JSON holds what it is given.
def json_text(value: Any, indent: int | None = None) -> str:
    """Write JSON in plain ASCII, DEL escaped too.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.

    """
    return json.dumps(value, indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def plain_console() -> "Console":
    """Return a console that colours only what it is told to, and breaks no line."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def folded(text: str, width: int, hanging: str = "  ") -> Iterator[str]:
    """Break a text between its words; a word that is longer than a line stays whole.

    Args:
        text: without line ends; spaces at its beginning stay.
        width: of a line, in columns of the terminal.
        hanging: what later lines begin with.

    """
    from rich.cells import cell_len

    body = text.lstrip(" ")
    line = text[: len(text) - len(body)]
    begun = False
    for word in body.split(" "):
        if begun and cell_len(line) + 1 + cell_len(word) > width:
            yield line
            line, begun = hanging, False
        line, begun = (f"{line} {word}" if begun else line + word), True
    yield line


def show_lines(text: str, *, hanging: str = "  ", err: bool = False) -> None:
    """Print a text, broken between its words."""
    for line in folded(text, plain_console().width, hanging):
        click.echo(line, err=err)


def show_boxed(text: str) -> None:
    """Print the line to go by, in a box."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    Console(highlight=False).print(Panel.fit(Text(text, "bold")))
