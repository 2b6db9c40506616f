"""What answers rows, whatever asks: which version, admission, batches, execution; and what loads the versions."""

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.inference.admission import AdmissionControl
from genrestack_server.inference.batcher import Batcher
from genrestack_server.inference.executor import Executor
from genrestack_server.models.manager import Command, ModelManager
from genrestack_server.models.reconciler import Changed
from genrestack_server.models.registry import Registry
from genrestack_server.telemetry.observer import Observer


class Engine:
    """Registry, manager, admission and batcher of one process. Belongs to one event loop."""

    def __init__(
        self,
        config: ServerConfig,
        observers: Observer,
        *,
        max_calls: int | None = None,
        registry: Registry | None = None,
        manager: type[ModelManager] = ModelManager,
        changed: Changed = lambda *_: None,
        broadcast: Command = lambda *_: None,
    ) -> None:
        """Make an engine that serves nothing yet.

        Args:
            config: what to serve, and how.
            observers: notified of runs and loads.
            max_calls: calls that may be in flight at once; None: any number.
            registry: the table of versions, in place of an empty one.
            manager: what loads into it.
            changed: called with a model's name and a version that has begun or ceased to be served.
            broadcast: called with `load` or `unload` and a model's name once that was done here by request.

        """
        self.registry = Registry(config.default_model) if registry is None else registry
        self.manager = manager(config, self.registry, observers, changed, broadcast)
        self.admission = AdmissionControl(max_calls)
        self.batcher = Batcher(Executor(), observers, config)
        self.predict = self.batcher.run
        """Answers checked rows; see `Batcher.run`."""

    def close(self) -> None:
        """Fail what waits, and end the run under way."""
        self.manager.close()
        self.batcher.close()
