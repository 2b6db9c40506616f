"""Metrics and traces of a server, as its options ask for them."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from genrestack_server.calls import Observers
from genrestack_server.config import ServerConfig

if TYPE_CHECKING:
    from genrestack_server.metrics import Metrics


class Observation:
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
        self._open = ExitStack()
        if self.metrics is not None:
            observers.add(self.metrics)

    def open(self) -> None:
        """Open the port of the metrics.

        Raises:
            AddressError: it cannot be listened on.

        """
        if self.metrics is not None and self._config.metrics_port is not None:
            from genrestack_server.endpoint import metrics_endpoint

            endpoint = metrics_endpoint(self._config.metrics_host, self._config.metrics_port, self.metrics)
            self.metrics_url = self._open.enter_context(endpoint)

    def close(self) -> None:
        """Let go of what was opened; may take a moment."""
        self._open.close()


def _metrics(config: ServerConfig, queue_rows: Callable[[], int], in_flight: Callable[[], int]) -> "Metrics":
    from genrestack_server.metrics import Metrics

    return Metrics(queue_rows=queue_rows, queue_limit=config.max_queue_rows, in_flight=in_flight)
