"""What protects a port: TLS, tokens, the guard before every call; and the reading of their files again."""

import asyncio
import logging
from typing import Final

import grpc
from grpc import aio

from genrestack_server.calls import Observer
from genrestack_server.certificates import Certificates
from genrestack_server.config import ServerConfig
from genrestack_server.guard import Guard, GuardInterceptor
from genrestack_server.listening import is_loopback
from genrestack_server.tokens import Tokens
from genrestack_server.watched import WatchedFiles

_log = logging.getLogger(__name__)


class Security:
    """Everything about a port that keeps people out.

    Raises:
        CertificateError: the certificate cannot be used.
        TokenFileError: the token file cannot be used.

    """

    def __init__(self, config: ServerConfig) -> None:
        self.certificates: Final = _certificates(config)
        self.tokens: Final = None if config.token_file is None else Tokens(config.token_file)
        self.guard: Final = Guard(config.management, self.tokens)
        self._files = [WatchedFiles(part.paths, part.reload) for part in (self.certificates, self.tokens) if part]
        self._tasks: list[asyncio.Task[None]] = []
        for line in exposures(config):
            _log.warning("%s", line)

    def interceptors(self, observers: Observer) -> list[aio.ServerInterceptor]:
        """What a server has to be made with."""
        return [GuardInterceptor(self.guard, observers)] if self.guard.needed else []

    def add_port(self, server: aio.Server, address: str) -> int:
        """Open the port; return its number.

        Raises:
            RuntimeError: gRPC cannot listen there.

        """
        if self.certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self.certificates.credentials())

    def start(self) -> None:
        """Begin to watch the files."""
        self._tasks = [asyncio.create_task(files.run()) for files in self._files]
        if self.certificates is not None:
            self._tasks.append(asyncio.create_task(self.certificates.remind_daily()))

    def stop(self) -> None:
        """Watch no longer."""
        for task in self._tasks:
            task.cancel()

    def reload(self) -> None:
        """Read all files now."""
        for files in self._files:
            files.reload()


def exposures(config: ServerConfig) -> list[str]:
    """Say what lies open to whoever reaches the port, and which setting closes it; nothing on loopback."""
    if is_loopback(config.host):
        return []
    lines = []
    where = f"{config.host} is reachable from other machines"
    if config.tls_cert is None:
        what = "requests, answers and tokens" if config.token_file is not None else "requests and answers"
        lines.append(f"{where}, and {what} travel unencrypted; set --tls-cert and --tls-key")
    if config.token_file is None and config.tls_client_ca is None:
        lines.append(f"{where}, and everybody there may ask; set --token-file or --tls-client-ca")
        if config.management == "open":
            lines.append(f"{where}, and everybody there may load and unload models; set --token-file")
    return lines


def _certificates(config: ServerConfig) -> Certificates | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Certificates(config.tls_cert, config.tls_key, config.tls_client_ca)
