"""What protects a port: TLS, tokens, authorization; and the reading of their files again."""

import asyncio
from typing import Final

from grpc import aio

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.security.auth import Authorizer
from genrestack_server.security.file_watcher import FileWatcher
from genrestack_server.security.tls import Certificates
from genrestack_server.security.tokens import Tokens


class Security:
    """Everything about a port that keeps people out.

    Raises:
        CertificateError: the certificate cannot be used.
        TokenFileError: the token file cannot be used.

    """

    def __init__(self, config: ServerConfig) -> None:
        self.certificates: Final = _certificates(config)
        self.tokens: Final = None if config.token_file is None else Tokens(config.token_file)
        self.authorizer: Final = Authorizer(config.management, self.tokens)
        self._files = [FileWatcher(part.paths, part.reload) for part in (self.certificates, self.tokens) if part]
        self._tasks: list[asyncio.Task[None]] = []

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


def _certificates(config: ServerConfig) -> Certificates | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Certificates(config.tls_cert, config.tls_key, config.tls_client_ca)
