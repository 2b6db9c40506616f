"""The bearer token of a client: where it comes from, and that nobody else sees it."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from genrestack._core.rows import invalid

Token = str | Callable[[], str]

# What RFC 6750 allows: no space, no line break, nothing that could start another header.
_FORM: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_FRESH_SECONDS: Final = 1.0


class TokenSource:
    """Hands out the token for the next call; shows it to nobody else."""

    def __init__(self, ask: Callable[[], str], name: str = "token") -> None:
        self._ask = ask
        self._name = name

    @classmethod
    def of(cls, token: Token | None, token_file: str | os.PathLike[str] | None) -> "TokenSource | None":
        """Choose among what a caller gave.

        Raises:
            InvalidInput: both are given, the file cannot be read, or what is given is no token.

        """
        if token is not None and token_file is not None:
            raise invalid("token_file", "and token are both given; give one of them")
        if token_file is not None:
            source = cls(_TokenFile(Path(token_file)), f"token_file {os.fspath(token_file)!r}")
        elif isinstance(token, str):
            given = token
            source = cls(lambda: given)
        elif token is not None:
            # Called when a call needs it, not yet.
            return cls(token)
        else:
            return None
        source.header()
        return source

    def header(self) -> str:
        """Value of the metadata `authorization`.

        Raises:
            InvalidInput: there is no token, or one that cannot be sent; the message does not hold it.

        """
        token: object = self._ask()
        if not isinstance(token, str) or not _FORM.fullmatch(token):
            raise invalid(
                self._name, "is empty or holds characters that no bearer token has; give letters, digits and -._~+/="
            )
        return f"Bearer {token}"

    def __repr__(self) -> str:
        return "<token>"


class _TokenFile:
    """Reads a token from a file, again once it is a second old: files of rotated secrets change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""
        self._until = 0.0

    def __call__(self) -> str:
        now = time.monotonic()
        if now >= self._until:
            try:
                self._token = self._path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no text"
                raise invalid("token_file", f"{str(self._path)!r} cannot be read: {why}; check the path") from error
            self._until = now + _FRESH_SECONDS
        return self._token
