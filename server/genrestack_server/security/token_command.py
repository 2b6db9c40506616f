"""`genrestack token`: a bearer token for the server's token file, which holds no more than its SHA-256."""

import hashlib
import re
import secrets
from pathlib import Path
from typing import Final

import click

_PREFIX: Final = "gs_"
_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _checked_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001 - click's
    if value is not None and (value == "admin" or not _NAME.fullmatch(value)):
        raise click.BadParameter("up to 64 letters, digits, '.', '_' and '-', other than admin")
    return value


@click.command(
    short_help="Make a bearer token for a server's token file.",
    epilog="Example: genrestack token --name web-frontend --append tokens",
)
@click.option("--name", metavar="NAME", callback=_checked_name, help="Whose token it is, for people who read the file.")
@click.option("--admin", is_flag=True, help="Let it load and unload models too, where --management is open.")
@click.option(
    "--append", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Append the line to this token file, and print the token alone.",
)  # fmt: skip
def token(name: str | None, file: Path | None, *, admin: bool) -> None:
    """Make a bearer token: 256 random bits, shown this once.

    The server's --token-file takes the line with its SHA-256; the token itself is nowhere stored. A running server
    takes up the line within some seconds. To withdraw a token, remove its line.
    """
    text = _PREFIX + secrets.token_urlsafe(_BYTES)
    words = [hashlib.sha256(text.encode()).hexdigest(), name or "", "admin" if admin else ""]
    line = " ".join(word for word in words if word)
    if file is None:
        click.echo(f"The token, shown this once:\n  {text}\nThe line for the server's --token-file:\n  {line}")
    else:
        _append(file, line)
        click.echo(text)


def _append(file: Path, line: str) -> None:
    try:
        start = "\n" if file.exists() and file.read_bytes()[-1:] not in {b"", b"\n"} else ""
        with file.open("a", encoding="ascii") as stream:
            stream.write(f"{start}{line}\n")
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
