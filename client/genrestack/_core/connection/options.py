"""Settings of a client, and the value that stands for "not given"."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import Final, Literal

import grpc

from genrestack._core.connection.address import Address
from genrestack._core.connection.credentials import TLS, Token, TokenSource, channel_credentials
from genrestack._core.connection.local import LocalSource
from genrestack._core.invalid import invalid
from genrestack._core.retry import RetryOptions, check_timeout

DEFAULT_TARGET: Final = "localhost:50051"
DEFAULT_TIMEOUT: Final = 10.0
DEFAULT_MESSAGE_BYTES: Final = 64 * 1024 * 1024
DEFAULT_MESSAGE_ROWS: Final = 4096
SMALLEST_MESSAGE_BYTES: Final = 4096


class NotGiven(Enum):
    """Type of `NOT_GIVEN`: tells "use the client's own setting" from None."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN

Timeout = float | None | NotGiven
LoadBalancing = Literal["pick_first", "round_robin"]


@dataclass(frozen=True)
class Peer:
    """The other side, as messages about it need to know it."""

    target: str
    """Its address, as the caller gave it."""
    encrypted: bool = False
    token: bool = False
    """Whether calls carry a token."""
    local: bool = False
    """Whether it is this process: there is no server that could be asked how it is."""


@dataclass(frozen=True, kw_only=True)
class KeepaliveOptions:
    """How a connection that nobody answers on any more is found out: by HTTP/2 pings."""

    interval: float = 30.0
    """Seconds without a sign of the server after which it is asked for one; servers refuse those below theirs."""
    timeout: float = 10.0
    """Seconds within which the sign has to come; then the connection is given up."""
    idle: bool = False
    """Also while no call is under way."""

    def __post_init__(self) -> None:
        for name in ("interval", "timeout"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 1 <= value < 86_400):
                raise invalid(f"keepalive.{name}", f"is {value}; give seconds from 1 to 86,400")


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """What both clients are set up with."""

    target: str | Sequence[str] = DEFAULT_TARGET
    """HOST:PORT, any name gRPC can resolve, or several addresses."""
    timeout: float | None = DEFAULT_TIMEOUT
    """Seconds for a whole call, retries included; None: no limit."""
    tls: TLS | bool = False
    """Whether and how the connection is encrypted; True: `TLS()`."""
    token: Token | None = field(default=None, repr=False)
    """Bearer token, or what hands one out for each call."""
    token_file: str | os.PathLike[str] | None = None
    """File that holds it instead."""
    allow_plaintext_token: bool = False
    """Whether the token may leave this machine unencrypted."""
    load_balancing: LoadBalancing | None = None
    """None: `round_robin` where the address stands for several servers, else `pick_first`."""
    keepalive: KeepaliveOptions | None = field(default_factory=KeepaliveOptions)
    """None: no pings."""
    max_message_bytes: int = DEFAULT_MESSAGE_BYTES
    """Largest message sent or taken; the same number as the server's."""
    max_message_rows: int = DEFAULT_MESSAGE_ROWS
    """Rows in one message at most; larger inputs travel in several."""
    retry: RetryOptions = field(default_factory=RetryOptions)
    """When to try again."""
    channel_options: tuple[tuple[str, str | int], ...] = ()
    """gRPC channel arguments; they win over the client's own."""
    local: LocalSource | None = None
    """The models to load into this process, in place of a server."""

    def __post_init__(self) -> None:
        self.address  # noqa: B018 - everything that can be wrong is found now, not by the first call
        check_timeout(self.timeout)
        if self.max_message_bytes < SMALLEST_MESSAGE_BYTES:
            raise invalid("max_message_bytes", f"is {self.max_message_bytes}; give {SMALLEST_MESSAGE_BYTES} or more")
        if self.max_message_rows < 1:
            raise invalid("max_message_rows", f"is {self.max_message_rows}; give 1 or more")
        if self.load_balancing not in (None, "pick_first", "round_robin"):
            raise invalid("load_balancing", f"is {self.load_balancing!r}; give 'pick_first' or 'round_robin'")
        if self.token_source is not None:
            self._check_way_of_token()
        if self.tls_options is not None and "," in self.address.target and self.tls_options.server_name is None:
            raise invalid("tls.server_name", "is missing; servers that are listed have to show one name, give that")
        self.credentials  # noqa: B018 - reads the files

    @cached_property
    def address(self) -> Address:
        """The target, understood."""
        if self.local is not None:
            return Address(self.local.shown, self.local.shown, loopback=True, several=False)
        return Address.of(self.target)

    @cached_property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """What TLS takes; None without."""
        return None if self.tls_options is None else channel_credentials(self.tls_options)

    @cached_property
    def token_source(self) -> TokenSource | None:
        """Where the token comes from."""
        return TokenSource.of(self.token, self.token_file)

    @property
    def tls_options(self) -> TLS | None:
        """How the connection is encrypted; None if it is not."""
        if isinstance(self.tls, TLS):
            return self.tls
        return TLS() if self.tls else None

    @property
    def balancing(self) -> LoadBalancing:
        """How calls are spread."""
        return self.load_balancing or ("round_robin" if self.address.several else "pick_first")

    @property
    def peer(self) -> Peer:
        """What messages about the other side need to know."""
        return Peer(
            self.address.shown,
            encrypted=bool(self.tls),
            token=self.token_source is not None,
            local=self.local is not None,
        )

    def __getstate__(self) -> dict[str, object]:
        """Leave out what was made from the settings: credentials are read again where this arrives."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)

    def _check_way_of_token(self) -> None:
        if self.tls or self.address.loopback or self.allow_plaintext_token:
            return
        raise invalid(
            "token",
            f"would travel to {self.address.shown} unencrypted, for everybody on the way to read; ask by TLS "
            "(tls=True, --tls), or allow it where something else encrypts the way "
            "(allow_plaintext_token=True, --plaintext-token)",
        )
