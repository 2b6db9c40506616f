"""The server's certificate: checked before it is used, read again when its files change."""

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import grpc

from genrestack_server.errors import CertificateError

_log = logging.getLogger(__name__)

_DAY_S: Final = 86_400
WARN_DAYS: Final = 14
"""Days before its end from which on a certificate is warned of."""
_END: Final = "-----END CERTIFICATE-----"
# Enough to and fro for any TLS version.
_HANDSHAKE_TURNS: Final = 6


@dataclass(frozen=True, slots=True)
class Pair:
    """Contents of the PEM files, checked to belong together."""

    chain: bytes
    key: bytes
    client_ca: bytes | None
    expires: float
    """Seconds since 1970."""
    context: ssl.SSLContext
    """Has shaken hands with these very files; for HTTP, and not to be changed."""

    def for_grpc(self) -> grpc.ServerCertificateConfiguration:
        """Pass it to gRPC."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_ca)


def read_pair(chain: Path, key: Path, client_ca: Path | None) -> Pair:
    """Read the files, and shake hands with oneself over them.

    Raises:
        CertificateError: a file is unreadable or no PEM, the key is not the certificate's, the certificate is not valid
            now or not one for servers; names the file.

    """
    paths = [path for path in (chain, key, client_ca) if path is not None]
    contents = {path: _read(path) for path in paths}
    context, expires = _shake_hands(chain, key, _text(contents[chain], chain))
    context.set_alpn_protocols(["http/1.1"])
    if client_ca is not None:
        _require_clients(context, client_ca, _text(contents[client_ca], client_ca))
    # OpenSSL takes paths, gRPC takes bytes: these must have been the same.
    if any(_read(path) != content for path, content in contents.items()):
        raise CertificateError(f"the TLS files beside {chain} changed while they were read")
    return Pair(contents[chain], contents[key], None if client_ca is None else contents[client_ca], expires, context)


class Certificates:
    """The pair in use; new connections get the newest good one, open ones keep theirs."""

    def __init__(self, chain: Path, key: Path, client_ca: Path | None) -> None:
        self.paths: Final = tuple(path for path in (chain, key, client_ca) if path is not None)
        self._files = (chain, key, client_ca)
        self._pair = read_pair(*self._files)
        self._for_grpc = self._pair.for_grpc()
        self._given = self._for_grpc
        self._log_expiry()

    @property
    def expires(self) -> float:
        """When the certificate in use expires, in seconds since 1970."""
        return self._pair.expires

    @property
    def context(self) -> ssl.SSLContext:
        """The pair in use, for the next connection by HTTP."""
        return self._pair.context

    def credentials(self) -> grpc.ServerCredentials:
        """Make the credentials of a port; gRPC asks them for the pair at every new connection."""
        return grpc.dynamic_ssl_server_credentials(
            self._for_grpc, self._changed, require_client_authentication=self._pair.client_ca is not None
        )

    def reload(self) -> str:
        """Read the files again; what is unusable leaves the old pair in use.

        Returns:
            what was read, for the log.

        Raises:
            CertificateError: as `read_pair`.

        """
        pair = read_pair(*self._files)
        self._pair, self._for_grpc = pair, pair.for_grpc()
        self._log_expiry()
        return f"TLS certificate {self._files[0]}"

    async def remind_daily(self) -> None:
        """Once a day, say when the certificate expires, until cancelled."""
        while True:
            await asyncio.sleep(_DAY_S)
            self._log_expiry()

    def _changed(self) -> grpc.ServerCertificateConfiguration:
        """Pass gRPC the pair if it has another one; called before a handshake, in a thread of gRPC's."""
        changed = self._for_grpc if self._given is not self._for_grpc else None
        self._given = self._for_grpc
        # The stubs do not know that None means "as before".
        return cast(grpc.ServerCertificateConfiguration, changed)

    def _log_expiry(self) -> None:
        left = self.expires - time.time()
        until = datetime.fromtimestamp(self.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
        if left <= 0:
            _log.error(
                "the TLS certificate %s has expired (%s); no client will connect: renew it", self._files[0], until
            )
        elif left < WARN_DAYS * _DAY_S:
            _log.warning("the TLS certificate %s expires in %.1f days (%s)", self._files[0], left / _DAY_S, until)
        else:
            _log.info("TLS certificate %s, valid until %s", self._files[0], until)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"cannot read the TLS file {path}: {error.strerror}; check its path, and that this user may read it"
        ) from error


def _text(content: bytes, path: Path) -> str:
    text = content.decode("ascii", "replace")
    if _END not in text:
        raise CertificateError(f"{path} holds no PEM certificate; give a file with -----BEGIN CERTIFICATE-----")
    return text


def _shake_hands(chain: Path, key: Path, text: str) -> tuple[ssl.SSLContext, float]:
    """Connect a TLS client that trusts this very certificate with a server that has it.

    Returns:
        the server's context, and when the certificate expires.

    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load(server, chain, key)
    try:
        client.load_verify_locations(cadata=text[: text.index(_END) + len(_END)])
        return server, _expiry(server, client)
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(_unusable(chain, error.verify_message)) from error
    except ssl.SSLError as error:
        raise CertificateError(_unusable(chain, error.reason)) from error


def _unusable(chain: Path, why: str) -> str:
    return f"the TLS certificate {chain} is unusable: {why}; have a new one issued"


def _expiry(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for turn in range(_HANDSHAKE_TURNS):
        try:
            (answering if turn % 2 else asking).do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = cast("dict[str, str]", asking.getpeercert())
    return float(ssl.cert_time_to_seconds(found["notAfter"]))


def _load(server: ssl.SSLContext, chain: Path, key: Path) -> None:
    asked = False

    def password() -> str:
        # Without this OpenSSL would ask for it on the terminal.
        nonlocal asked
        asked = True
        return ""

    try:
        server.load_cert_chain(chain, key, password=password)
    except (ssl.SSLError, OSError) as error:
        if asked:
            text = f"the TLS key {key} is protected by a password; store it without one, readable by this user alone"
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            text = f"the TLS key {key} is not the key of the certificate {chain}; give the two that belong together"
        else:
            text = f"the TLS key {key} or the certificate {chain} is not a usable PEM file; copy both again, unaltered"
        raise CertificateError(text) from error


def _require_clients(context: ssl.SSLContext, path: Path, text: str) -> None:
    """Require clients to have a certificate of these authorities."""
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        raise CertificateError(f"{path} holds no usable PEM certificates; copy it again") from error
    if not context.cert_store_stats()["x509_ca"]:
        raise CertificateError(f"{path} holds no certificate of an authority; clients' certificates must come from one")
