"""Models that are loaded when they are asked for: more of them than a replica has memory for."""

import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Final

from genrestack_common.text import listed, quoted
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import (
    InvalidInput,
    LoadRejected,
    NotFound,
    RepositoryError,
    StillLoading,
)
from genrestack_server.models.background import BackgroundThread
from genrestack_server.models.manager import ModelManager
from genrestack_server.models.registry import Registry, ServedModel
from genrestack_server.models.repository import Versions, find_models, look, require_models

_REFUSED_S: Final = 10.0
"""A model that could not be loaded is not tried again for so long: each attempt costs as much as a good one."""


class DemandRegistry(Registry):
    """Tells a model that is not loaded just now from one that there is not."""

    known: frozenset[str] = frozenset()
    """Models that lay in the repository when it was last looked at."""

    def find(self, name: str, version: int) -> ServedModel:
        """See `Registry.find`.

        Raises:
            StillLoading: it lies in the repository, and has made room for another model since it was loaded.

        """
        if name in self.known and not self.versions(name):
            raise StillLoading(f"model {name!r} is being loaded; try again in a few seconds")
        return super().find(name, version)


class DemandManager(ModelManager):
    """Keeps what was loaded in step with the repository, and loads nothing by itself."""

    def find_models(self) -> list[str]:
        """Return none: they are loaded when they are asked for.

        Raises:
            RepositoryError: there is nothing to serve (unless `allow_empty`).
            StartError: the default model is not in the repository.

        """
        try:
            found = find_models(self._config.models_dir)
        except RepositoryError:
            if not self._config.allow_empty:
                raise
            found = []
        if self._config.default_model is not None:
            require_models(
                [self._config.default_model], found, self._config.models_dir, "default model", "default_model"
            )
        return []

    async def _sync(self, name: str, versions: Versions) -> None:
        if self._registry.versions(name):
            await self._reconciler.reconcile(name, versions)


class CachedModel:
    """Stands for a loaded model in Ray's cache: once Ray lets go of it, the model is unloaded."""


Cache = Callable[[str], Awaitable[CachedModel]]
"""Ray's: calls `Models.fetch` for what it does not hold, and lets go of what was not asked for the longest."""


class Models:
    """The models of one replica. Belongs to one event loop."""

    def __init__(self, config: ServerConfig, registry: DemandRegistry, manager: ModelManager) -> None:
        self._config = config
        self._registry = registry
        self._manager = manager
        self._background = BackgroundThread("genrestack-look")
        self._held: weakref.WeakValueDictionary[str, CachedModel] = weakref.WeakValueDictionary()
        self._refused: dict[str, tuple[float, str]] = {}

    async def ensure(self, name: str, cache: Cache) -> None:
        """Return once a model can be asked; "" is the default one.

        Raises:
            NotFound: the repository holds no such model.
            InvalidInput: no model is named, there are several and none is the default.
            LoadRejected: it has no good version.
            StillLoading: others took its place at once.

        """
        name = name or await self._default()
        if not self._registry.versions(name):
            await self._seek(name)
        await cache(name)
        if not self._registry.versions(name):
            # Ray believed it still here.
            await self._ensure_loaded(name)
        if not self._registry.versions(name):
            raise StillLoading(f"model {name!r} had to make room for others at once; try again in a few seconds")

    async def fetch(self, name: str) -> CachedModel:
        """Unload what Ray has let go of, then load this one: never more at a time than Ray holds."""
        for other in self._registry.names():
            if other not in self._held and other != name:
                await self._manager.unload(other)
        if not self._registry.versions(name):
            await self._ensure_loaded(name)
        held = self._held[name] = CachedModel()
        return held

    async def look(self) -> frozenset[str]:
        """List the models in the repository.

        Raises:
            RepositoryError: it cannot be read.

        """
        self._registry.known = frozenset(await self._background.run(look, self._config.models_dir))
        return self._registry.known

    async def _default(self) -> str:
        if self._config.default_model is not None:
            return self._config.default_model
        known = self._registry.known or await self.look()
        if len(known) > 1:
            text = f"there are several models and none is the default; name one: {listed(sorted(known))}"
            raise InvalidInput.of("model", text)
        if not known:
            raise NotFound("no model is served here")
        return next(iter(known))

    async def _seek(self, name: str) -> None:
        """Make sure, before Ray makes room for it, that a model is there and may be good."""
        since, reason = self._refused.get(name, (-_REFUSED_S, ""))
        if time.monotonic() - since < _REFUSED_S:
            raise LoadRejected(reason)
        known = await self.look()
        if name not in known:
            raise NotFound(f"there is no model {quoted(name)} here; there are: {listed(sorted(known))}")

    async def _ensure_loaded(self, name: str) -> None:
        try:
            await self._manager.load(name)
        except LoadRejected as error:
            if not self._registry.versions(name):
                self._refused[name] = time.monotonic(), str(error)
                raise
