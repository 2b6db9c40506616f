"""Metrics and traces of a server, as its options ask for them."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import StartError
from genrestack_server.telemetry.observer import Observers

if TYPE_CHECKING:
    from genrestack_server.telemetry.metrics import Metrics
    from genrestack_server.telemetry.tracing import Tracing


class Telemetry:
    """What is asked for and nothing else: an option that is off imports nothing and costs nothing."""

    def __init__(
        self,
        config: ServerConfig,
        observers: Observers,
        *,
        queue_rows: Callable[[], int],
        in_flight: Callable[[], int],
    ) -> None:
        """Join the observers.

        Args:
            config: which of it.
            observers: those to join.
            queue_rows: tells how many rows wait.
            in_flight: tells how many calls have been let in and have not ended.

        """
        self.metrics = None if config.metrics_port is None else _metrics(config, queue_rows, in_flight)
        """What is counted, if anything is."""
        self.metrics_url: str | None = None
        """Where the metrics are read, while they are."""
        self._config = config
        self._observers = observers
        self._open = ExitStack()
        if self.metrics is not None:
            observers.add(self.metrics)
            self._open.callback(self.metrics.close)

    def open(self, *, alone: bool, ready: Callable[[], bool] = lambda: True) -> None:
        """Open the port of the metrics, unless a supervisor has it, and begin to trace.

        Args:
            alone: whether this is the only process of the server.
            ready: tells whether models are served; called in the running loop.

        Raises:
            AddressError: the port cannot be listened on.
            StartError: what traces need is not installed.

        """
        if self._config.otel_endpoint is not None:
            tracing = _tracing(self._config.otel_endpoint)
            self._open.callback(tracing.close)
            self._observers.add(tracing)
        if alone and self.metrics is not None and self._config.metrics_port is not None:
            from genrestack_server.telemetry.metrics_server import metrics_endpoint
            from genrestack_server.telemetry.probes import Probes

            host, port = self._config.metrics_host, self._config.metrics_port
            endpoint = metrics_endpoint(host, port, self.metrics, Probes(ready))
            self.metrics_url = self._open.enter_context(endpoint)

    def close(self) -> None:
        """Close what was opened; may take a moment."""
        self._open.close()


def _metrics(config: ServerConfig, queue_rows: Callable[[], int], in_flight: Callable[[], int]) -> "Metrics":
    from genrestack_server.telemetry.metrics import Metrics

    return Metrics(queue_rows=queue_rows, queue_limit=config.max_queue_rows, in_flight=in_flight)


def _tracing(endpoint: str) -> "Tracing":
    try:
        from genrestack_server.telemetry.tracing import Tracing
    except ImportError as error:
        raise StartError('traces (--otel-endpoint) need: pip install "genrestack[server,otel]"') from error
    return Tracing(endpoint)
