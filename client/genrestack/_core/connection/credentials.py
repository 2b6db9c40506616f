"""Whom a client trusts, and how it shows who it is: TLS and the bearer token."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from genrestack._core.invalid import invalid

File = str | os.PathLike[str]
Token = str | Callable[[], str]

# What RFC 6750 allows: no space, no line break, nothing that could start another header.
_FORM: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_FRESH_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class TLS:
    """How the connection is encrypted; `TLS()` trusts public certificate authorities.

    The files are read when the client is made.
    """

    ca: File | None = None
    """PEM file of the authorities to trust; None: the public ones, or GRPC_DEFAULT_SSL_ROOTS_FILE_PATH's."""
    cert: File | None = None
    """PEM file of this client's own certificate, where the server wants one (mutual TLS); with `key`."""
    key: File | None = None
    """PEM file of the private key of `cert`, without a password."""
    server_name: str | None = None
    """Name the server's certificate has to be for; None: the one in the address."""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            lacking = "tls.key" if self.key is None else "tls.cert"
            raise invalid(lacking, "is missing; a client's certificate and its key are given together")
        if self.server_name == "":
            raise invalid("tls.server_name", "is empty; give a name, or None for the one in the address")


def channel_credentials(tls: TLS) -> grpc.ChannelCredentials:
    """Read the files.

    Raises:
        InvalidInput: one is missing, or not what it should be; the message names it.

    """
    contents = {name: _read(f"tls.{name}", getattr(tls, name)) for name in ("ca", "cert", "key")}
    _check(tls)
    return grpc.ssl_channel_credentials(contents["ca"], contents["key"], contents["cert"])


def _read(name: str, file: File | None) -> bytes | None:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise invalid(name, f"{os.fspath(file)!r} cannot be read: {error.strerror}; check the path") from error


def _check(tls: TLS) -> None:
    # gRPC takes anything, and fails when it connects with words about handshakers.
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except ssl.SSLError:
        raise invalid("tls.ca", f"{os.fspath(tls.ca or '')!r} holds no certificate in PEM form") from None
    if tls.cert is None:
        return
    try:
        # Without a password here, OpenSSL asks for one on the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        files = f"of {os.fspath(tls.cert)!r} and {os.fspath(tls.key or '')!r}"
        if error.reason == "KEY_VALUES_MISMATCH":
            raise invalid("tls.key", f"{files}: the key is not that of the certificate; give the pair") from None
        raise invalid("tls.cert", f"{files}: give a certificate and a key without password, in PEM form") from None


class TokenSource:
    """Returns the token for the next call; never shows it in text."""

    def __init__(self, ask: Callable[[], str], name: str = "token") -> None:
        self._ask = ask
        self._name = name

    @classmethod
    def of(cls, token: Token | None, token_file: str | os.PathLike[str] | None) -> "TokenSource | None":
        """Choose among what a caller gave.

        Raises:
            InvalidInput: both are given, the file cannot be read, or what is given is not a token.

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
                why = error.strerror if isinstance(error, OSError) else "it is not text"
                raise invalid("token_file", f"{str(self._path)!r} cannot be read: {why}; check the path") from error
            self._until = now + _FRESH_SECONDS
        return self._token
