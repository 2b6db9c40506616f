"""Options of a server: the one place where they are named, described and bounded."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

from genrestack_common.settings import Setting, check_settings

Provider = Literal["auto", "cpu", "cuda", "tensorrt"]
RepositoryMode = Literal["poll", "explicit"]
Management = Literal["closed", "open"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

MIB = 2**20
# gRPC counts milliseconds in 32 bits; this is 20 days.
_LONGEST_AGE: Final = 1_728_000
_DAY: Final = 86_400

SECTIONS: Final = {
    "server": "Server",
    "models": "Models and versions",
    "batching": "Batching",
    "limits": "Limits",
    "security": "Security",
    "observing": "Observing",
}
"""Section of a settings file to its title."""

_server = partial(Setting, "server")
_models = partial(Setting, "models")
_batching = partial(Setting, "batching")
_limits = partial(Setting, "limits")
_security = partial(Setting, "security")
_observing = partial(Setting, "observing")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a `Server` can be told.

    Each is also a flag of `genrestack serve`, an environment variable and a key of its settings file, all of them made
    from the annotations below.

    Raises:
        ValueError: naming the option and what it may be.

    """

    models_dir: Annotated[Path, _models("Model repository, <name>/<version>/.", metavar="DIR", argument=True)] = Path(
        "models"
    )

    # Server.
    host: Annotated[
        str, _server("Name or address to listen on, IPv6 without brackets; 0.0.0.0 for all.", metavar="HOST")
    ] = "127.0.0.1"
    port: Annotated[int, _server("TCP port; 0 picks a free one.", least=0, most=65_535)] = 50051
    http_port: Annotated[
        int | None,
        _server(
            "TCP port of the Open Inference Protocol over HTTP, on the same host; 0 picks a free one.",
            unset="no HTTP",
            least=0,
            most=65_535,
        ),
    ] = None
    provider: Annotated[
        Provider,
        _server("What runs the graph; auto is CUDA where it starts and answers the golden rows, else the CPU."),
    ] = "auto"
    device: Annotated[int, _server("Number of the GPU, as nvidia-smi counts them.", least=0, most=1023)] = 0
    threads: Annotated[
        int | None,
        _server(
            "Threads of one run.", unset="the CPUs this process may use, shared among the workers", least=1, most=1024
        ),
    ] = None
    native: Annotated[
        bool,
        _server(
            "Let native operators answer for the parts they know, where the CPU runs them and they answer the golden "
            "rows; off: the exported graphs alone."
        ),
    ] = True
    novelty: Annotated[
        bool,
        _server(
            "Tell with every answer how far its rows are from the training rows, where the model knows; off: if asked."
        ),
    ] = False
    workers: Annotated[int, _server("Processes that serve the port together.", least=1, most=256)] = 1
    grace: Annotated[
        float,
        _server(
            "Time for requests in flight when the server is told to stop.", metavar="SECONDS", least=0, finite=False
        ),
    ] = 30.0

    # Models and versions.
    default_model: Annotated[
        str | None,
        _models("Model for requests that name none.", metavar="NAME", unset="the only one there is"),
    ] = None
    allow_empty: Annotated[bool, _models("Start even if a model, or every model, has no good version.")] = False
    repository_mode: Annotated[
        RepositoryMode,
        _models("poll notices new and removed versions by itself; explicit loads and unloads when told by RPC."),
    ] = "poll"
    poll_interval: Annotated[
        float,
        _models("Time between two looks at the repository.", metavar="SECONDS", least=0.05, most=_DAY),
    ] = 1.0
    version_policy: Annotated[
        str,
        _models(
            "Which versions of a model are served: latest:N, all, or numbers such as 1,3.",
            metavar="POLICY",
            pattern=r"latest:[1-9][0-9]*|all|[1-9][0-9]*(,[1-9][0-9]*)*",
            meant="latest:N, all, or version numbers such as 1,3",
        ),
    ] = "latest:1"
    load_models: Annotated[
        tuple[str, ...],
        _models(
            "Model loaded at start when --repository-mode is explicit; may be given several times.",
            metavar="NAME",
            flag="--load-model",
        ),
    ] = ()

    # Batching.
    batching: Annotated[
        bool, _batching("Let waiting requests share an execution; off: one request an execution, all else equal.")
    ] = True
    max_batch_rows: Annotated[
        int,
        _batching("Maximum batch size in rows; a larger request is computed in slices of it.", least=1, most=2**20),
    ] = 64
    max_queue_delay: Annotated[
        float,
        _batching(
            "Time an execution may wait for more rows; 0: it takes what waits.", metavar="SECONDS", least=0, most=10
        ),
    ] = 0.0
    max_queue_rows: Annotated[
        int,
        _batching("Maximum queued rows; a request beyond them is rejected at once.", least=1, most=2**31 - 1),
    ] = 131_072

    max_compute_seconds: Annotated[
        float,
        _batching(
            "Time one execution may take; what takes longer is ended and answered as INTERNAL.",
            metavar="SECONDS",
            least=0.05,
            most=_DAY,
        ),
    ] = 60.0

    # Limits. gRPC counts bytes in 32 bits.
    max_message_mib: Annotated[
        int, _limits("Largest request, decompressed, and largest answer, in MiB.", least=1, most=1000)
    ] = 64
    max_rows: Annotated[int, _limits("Most rows in one request.", least=1, most=2**32 - 1)] = 65_536
    max_concurrent_rpcs: Annotated[
        int | None,
        _limits(
            "Maximum in-flight RPCs; a call beyond them is rejected at once.",
            unset="no limit",
            least=1,
            most=2**31 - 1,
        ),
    ] = None
    max_connections: Annotated[
        int,
        _limits("Connections open at once; what would exceed them is closed at once.", least=1, most=2**31 - 1),
    ] = 1000
    max_connection_streams: Annotated[
        int,
        _limits("Calls in flight on one connection; a client keeps back what exceeds them.", least=1, most=2**31 - 1),
    ] = 1024
    max_connection_age: Annotated[
        float | None,
        _limits(
            "Age at which a connection is asked to end, so that clients look for other servers.",
            metavar="SECONDS",
            unset="never",
            least=1,
            most=_LONGEST_AGE,
        ),
    ] = None
    max_connection_age_grace: Annotated[
        float,
        _limits("Time that calls on such a connection get to finish.", metavar="SECONDS", least=0, most=_LONGEST_AGE),
    ] = 30.0
    min_ping_interval: Annotated[
        float,
        _limits(
            "Time a client must leave between keepalive pings; one that pings more often is disconnected.",
            metavar="SECONDS",
            least=0,
            most=_DAY,
        ),
    ] = 10.0

    # Security.
    tls_cert: Annotated[
        Path | None,
        _security(
            "PEM certificate chain; with --tls-key, the ports speak TLS. Read again when the files change.",
            metavar="FILE",
            unset="no TLS",
        ),
    ] = None
    tls_key: Annotated[Path | None, _security("PEM private key of the certificate.", metavar="FILE")] = None
    tls_client_ca: Annotated[
        Path | None,
        _security(
            "PEM certificates that clients' own certificates must come from (mutual TLS).",
            metavar="FILE",
            unset="clients need no certificate",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        _security(
            "Bearer tokens that are let in, as `genrestack token` makes them, one a line; read again when "
            "the file changes.",
            metavar="FILE",
            unset="no tokens",
        ),
    ] = None
    management: Annotated[
        Management,
        _security(
            "Whether loading, unloading and statistics answer at all; where there are tokens they need one "
            "marked admin."
        ),
    ] = "closed"

    # Observing.
    metrics_port: Annotated[
        int | None,
        _observing(
            "HTTP port of the Prometheus metrics; 0 picks a free one.", unset="no metrics", least=0, most=65_535
        ),
    ] = None
    metrics_host: Annotated[str, _observing("Address of the metrics.", metavar="HOST")] = "127.0.0.1"
    otel_endpoint: Annotated[
        str | None,
        _observing(
            "OTLP collector that traces are sent to, e.g. http://localhost:4317.",
            metavar="URL",
            unset="no traces",
            pattern=r"https?://\S+",
            meant="a URL such as http://localhost:4317",
        ),
    ] = None
    log_level: Annotated[LogLevel, _observing("Minimum log level.")] = "info"
    log_format: Annotated[LogFormat, _observing("Readable lines, or one JSON object a line.")] = "text"
    log_sample: Annotated[
        float,
        _observing(
            "Share of the answered requests that are logged at level info; at level debug all are.",
            metavar="SHARE",
            least=0,
            most=1,
        ),
    ] = 0.01

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_settings(self)
        self._check_together()

    @property
    def max_message_bytes(self) -> int:
        """Largest request and largest answer, in bytes."""
        return self.max_message_mib * MIB

    def _check_together(self) -> None:
        if self.http_port and self.http_port == self.port:
            raise ValueError(f"http_port is {self.http_port}, which is port too; each needs a port of its own")
        if self.device and self.provider == "cpu":
            raise ValueError(f'device is {self.device}, but provider is "cpu"; choose "cuda" or leave device out')
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_cert", "tls_key") if self.tls_key is None else ("tls_key", "tls_cert")
            raise ValueError(f"{given} is given without {missing}; TLS needs both")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca is given without tls_cert and tls_key; mutual TLS needs all three")
        if self.load_models and self.repository_mode != "explicit":
            raise ValueError(
                'load_models is given, but repository_mode is "poll", which loads every model; use "explicit"'
            )
