"""TLS of a client: whom it trusts, and how it shows who it is."""

import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from genrestack._core.rows import invalid

File = str | os.PathLike[str]


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
