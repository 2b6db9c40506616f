"""What answers in a replica: the server without its port."""

from genrestack_common.text import listed
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import StartError
from genrestack_server.inference.admission import Gate
from genrestack_server.inference.batcher import Batcher
from genrestack_server.inference.engine import Predictor
from genrestack_server.inference.executor import Executor
from genrestack_server.models.manager import Keeper
from genrestack_server.models.registry import Registry
from genrestack_server.models.repository import find_models
from genrestack_server.ray_app.demand import DemandKeeper, DemandRegistry
from genrestack_server.rpc.prediction_service import NativeService
from genrestack_server.service.lifecycle import Reception
from genrestack_server.telemetry.observer import Observers
from genrestack_server.telemetry.request_log import RequestLog


class Core:
    """Registry, keeper, batcher and front end of one replica. Belongs to one event loop."""

    def __init__(self, config: ServerConfig) -> None:
        on_demand = config.repository_mode == "explicit"
        observers = Observers([RequestLog(config.log_sample)])
        self._config = config
        self.on_demand = DemandRegistry(config.default_model) if on_demand else None
        """The registry, where models are loaded on demand."""
        self.registry: Registry = self.on_demand or Registry(config.default_model)
        self.keeper = (DemandKeeper if on_demand else Keeper)(config, self.registry, observers, lambda *_: None)
        self._batcher = Batcher(Executor(), observers, config)
        predictor = Predictor(self.registry, self._batcher, Gate())
        self.reception = Reception(observers)
        self.native = NativeService(predictor, self.reception, config)

    async def start(self) -> None:
        """Load, prove and warm up every model, or none if they are loaded on demand; keep in step from then on.

        Raises:
            RepositoryError: there is nothing to serve, or a model without a good version (unless `allow_empty`).
            StartError: the default model or the execution provider is not there.

        """
        names = self._find_models()
        if self._config.repository_mode == "poll":
            await self.keeper.start(names)
        self.registry.loading = False
        self.keeper.watch()

    def _find_models(self) -> list[str]:
        config = self._config
        found = find_models(config.models_dir) if not config.allow_empty or config.models_dir.is_dir() else []
        if config.default_model is not None and config.default_model not in found:
            raise StartError(
                f"the default model {config.default_model!r} is not in {config.models_dir}: {listed(found)}; "
                "name one of these as default_model"
            )
        return found
