"""Options of a server."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Provider = Literal["auto", "cpu", "cuda"]
RepositoryMode = Literal["poll", "explicit"]
Management = Literal["closed", "open"]
LogFormat = Literal["text", "json"]

MIB = 2**20

_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "port": (0, 65_535),
    "threads": (1, 1024),
    # gRPC counts bytes in 32 bits, and is told twice this.
    "max_message_mib": (1, 1000),
    "max_rows": (1, 2**32 - 1),
    "grace": (0, math.inf),
    "workers": (1, 256),
    "max_batch_rows": (1, 2**20),
    "max_queue_delay": (0, 10),
    "max_queue_rows": (1, 2**31 - 1),
    "poll_interval": (0.05, 86_400),
    "metrics_port": (0, 65_535),
    "max_concurrent_rpcs": (1, 2**31 - 1),
    "max_connection_age": (1, math.inf),
    "max_connection_age_grace": (0, math.inf),
    "min_ping_interval": (0, 86_400),
    "log_sample": (0, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a `Server` can be told; the command's options have the same names."""

    models_dir: Path = Path("models")
    """Model repository, `<name>/<version>/`."""
    host: str = "127.0.0.1"
    """Name or address to listen on; IPv6 addresses without brackets."""
    port: int = 50051
    """TCP port; 0 picks a free one."""
    provider: Provider = "auto"
    """Execution provider; `auto` is CUDA where it is there, else CPU."""
    threads: int | None = None
    """Intra-op threads of a run; None: as many as this process may use, shared among the workers."""
    workers: int = 1
    """Processes that serve the port together."""
    default_model: str | None = None
    """Model that answers when a request names none; None: the only one there is."""
    allow_empty: bool = False
    """Start even if there is nothing, or not everything, to serve."""
    grace: float = 30.0
    """Seconds that requests in flight get to finish when the server stops."""

    # Models and versions.
    repository_mode: RepositoryMode = "poll"
    """`poll` notices new and removed versions by itself; `explicit` loads and unloads when told by RPC."""
    poll_interval: float = 1.0
    """Seconds between two looks at the repository."""
    version_policy: str = "latest:1"
    """Which versions of a model are served: `latest:N`, `all`, or numbers such as `1,3`."""
    load_models: tuple[str, ...] = ()
    """Models loaded at start in `explicit` mode."""

    # Batching.
    batching: bool = True
    """Whether waiting requests share an execution; off: one request an execution, all else equal."""
    max_batch_rows: int = 256
    """Most rows of one execution; a larger request is computed in pieces of this size."""
    max_queue_delay: float = 0.0
    """Seconds an execution may wait for more rows; 0: it takes what waits."""
    max_queue_rows: int = 131_072
    """Rows that may wait; what would exceed them is refused at once."""

    # Limits.
    max_message_mib: int = 64
    """Largest request and largest answer, in MiB."""
    max_rows: int = 65_536
    """Largest number of rows in one request."""
    max_concurrent_rpcs: int | None = None
    """Calls served at once; None: no limit."""
    max_connection_age: float | None = None
    """Seconds after which a connection is asked to end, so that clients look for other servers; None: never."""
    max_connection_age_grace: float = 30.0
    """Seconds that calls on such a connection get to finish."""
    min_ping_interval: float = 10.0
    """Seconds a client must leave between keepalive pings; one that pings more often is disconnected."""

    # Security.
    tls_cert: Path | None = None
    """PEM certificate chain; with `tls_key`, the port speaks TLS. Read again when the files change."""
    tls_key: Path | None = None
    """PEM private key of `tls_cert`."""
    tls_client_ca: Path | None = None
    """PEM certificates that clients' own certificates must come from (mutual TLS)."""
    token_file: Path | None = None
    """SHA-256 of the bearer tokens that are let in, one a line; read again when the file changes."""
    management: Management = "closed"
    """Whether loading, unloading and statistics answer at all; where there are tokens they need one marked `admin`."""

    # Observing.
    metrics_port: int | None = None
    """HTTP port of the Prometheus metrics; 0 picks a free one, None: no metrics."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics."""
    otel_endpoint: str | None = None
    """OTLP collector that traces are sent to, e.g. http://localhost:4317; None: no traces."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_format: LogFormat = "text"
    """Readable lines, or one JSON object a line."""
    log_sample: float = 0.01
    """Share of the answered requests that are logged at level info; all are at level debug."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: naming the option and what it may be.

        """
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} is {value}; it must lie between {least} and {most}")

    @property
    def max_message_bytes(self) -> int:
        """Largest request and largest answer, in bytes."""
        return self.max_message_mib * MIB
