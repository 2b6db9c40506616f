"""What answers in a replica: the server without its port."""

from genrestack_server.config.server_config import ServerConfig
from genrestack_server.inference.engine import Engine
from genrestack_server.models.manager import ModelManager
from genrestack_server.models.registry import Registry
from genrestack_server.ray_app.demand import DemandManager, DemandRegistry
from genrestack_server.service.lifecycle import Lifecycle
from genrestack_server.service.prediction import PredictionHandler
from genrestack_server.telemetry.observer import Observers
from genrestack_server.telemetry.request_log import RequestLog


class Core:
    """Engine and front end of one replica. Belongs to one event loop."""

    def __init__(self, config: ServerConfig) -> None:
        on_demand = config.repository_mode == "explicit"
        observers = Observers([RequestLog(config.log_sample)])
        self.on_demand = DemandRegistry(config.default_model) if on_demand else None
        """The registry, where models are loaded on demand."""
        registry: Registry = self.on_demand or Registry(config.default_model)
        self.engine = Engine(config, observers, registry=registry, manager=DemandManager if on_demand else ModelManager)
        self.lifecycle = Lifecycle(observers)
        self.prediction = PredictionHandler(self.engine, config)

    async def start(self) -> None:
        """Load, verify and warm up every model, or none if they are loaded on demand; keep in step from then on.

        Raises:
            RepositoryError: there is nothing to serve, or a model without a good version (unless `allow_empty`).
            StartError: the default model or the execution provider is not there.

        """
        names = self.engine.manager.find_models()
        await self.engine.manager.start(names)
        self.engine.manager.watch()
