"""Keeps what is served in step with the repository: by itself (`poll`), or on request (`explicit`)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from genrestack_common.text import listed, quoted
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import (
    Draining,
    LoadRejected,
    NotExplicit,
    NotFound,
    RepositoryError,
    RequestError,
    StillLoading,
)
from genrestack_server.models.background import BackgroundThread, keep_little
from genrestack_server.models.reconciler import Changed, Reconciler
from genrestack_server.models.registry import Registry
from genrestack_server.models.repository import Trouble, Versions, look, models_at_start, versions_of
from genrestack_server.telemetry.observer import Observer

_log = logging.getLogger(__name__)

Command = Callable[[str, str], None]


class ModelManager:
    """Loads, swaps and lets go versions. Belongs to one event loop; everything slow is done in one thread aside.

    All changes are made under one lock, on the event loop, and each is a swap of the registry's table.
    """

    def __init__(
        self, config: ServerConfig, registry: Registry, observers: Observer, changed: Changed, broadcast: Command
    ) -> None:
        """Make a manager that does nothing yet.

        Args:
            config: the repository, the policy, the mode.
            registry: what is served.
            observers: notified of it.
            changed: called with a model's name and a version that has begun or ceased to be served.
            broadcast: called with `load` or `unload` and a model's name once that was done here by request.

        """
        self._config = config
        self._registry = registry
        self._broadcast = broadcast
        self._background = BackgroundThread("genrestack-load")
        self._reconciler = Reconciler(config, registry, observers, changed, self._background)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = Trouble()

    @property
    def busy(self) -> bool:
        """Whether a version is being loaded just now; `close` ends that, but not within one step of it."""
        return self._reconciler.loading

    def find_models(self) -> list[str]:
        """Return the models to load at start.

        Raises:
            RepositoryError: there is nothing to serve (unless `allow_empty`).
            StartError: a model named in the configuration is not in the repository.

        """
        return models_at_start(self._config)

    async def start(self, names: Sequence[str]) -> None:
        """Load these models, newest good versions first.

        Raises:
            RepositoryError: a model has no good version (unless `allow_empty`), or its folder cannot be read.
            StartError: the execution provider asked for is missing.
            Draining: `close` was called meanwhile.

        """
        keep_little()
        async with self._lock:
            for name in names:
                try:
                    await self._start(name)
                except RepositoryError as error:
                    if not self._config.allow_empty:
                        raise
                    _log.error("%s", error)
        self._registry.finish_loading()

    def watch(self) -> None:
        """Poll the repository every `poll_interval` from now on."""
        self._spawn(self._watch())

    async def load(self, name: str) -> None:
        """Load the versions of a model that the policy wants, newly looked up; those served before serve meanwhile.

        Once that has succeeded it is broadcast, even if the caller has left meanwhile. A caller that leaves before its
        turn has come leaves nothing behind.

        Raises:
            NotFound: the repository holds no such model.
            LoadRejected: a version is invalid; the message names the reason. The last valid one stays served.
            NotExplicit: the server is in `poll` mode.
            StillLoading: the server is starting.

        """
        await self._load_alone(name, partial(self._broadcast, "load", name))

    async def unload(self, name: str) -> None:
        """Serve no version of a model any more; requests in flight are answered, then its memory is freed.

        Raises:
            NotFound: the repository holds no such model, and none is served.
            NotExplicit: the server is in `poll` mode.
            StillLoading: the server is starting.

        """
        await self._unload_alone(name)
        self._broadcast("unload", name)

    async def follow(self, command: str, name: str) -> None:
        """Load or unload as another process did, and broadcast nothing."""
        try:
            await (self._load_alone(name, lambda: None) if command == "load" else self._unload_alone(name))
        except RequestError as error:
            _log.warning("another worker did %s model %r, this one could not: %s", command, name, error)

    async def _load_alone(self, name: str, then: Callable[[], None]) -> None:
        self._only_explicit("loads")
        await self._lock.acquire()
        work = self._spawn(self._load_now(name, then))
        work.add_done_callback(lambda _: self._lock.release())
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.add_done_callback(_log_abandoned)
            raise
        if work.cancelled():
            raise Draining("the server is stopping; ask another server")
        work.result()

    async def _unload_alone(self, name: str) -> None:
        self._only_explicit("unloads")
        async with self._lock:
            if name not in self._registry.names():
                await self._versions_of(name)
            for version in self._registry.versions(name):
                self._reconciler.unload(name, version, "it was unloaded by request")

    async def look_once(self) -> None:
        """Poll the repository, and act on what is new, changed, or gone."""
        try:
            found = await self._background.run(look, self._config.models_dir)
        except RepositoryError as error:
            self._trouble.begins(str(error))
            return
        if not found and self._registry.names():
            self._trouble.begins(f"{self._config.models_dir} holds no model any more")
            return
        self._trouble.ends()
        async with self._lock:
            for name in sorted({*found, *self._registry.names()}):
                versions = found.get(name, Versions())
                if versions is not None:
                    await self._sync(name, versions)
            for name in self._reconciler.known() - found.keys():
                self._registry.set_on_disk(name, Versions())
                self._reconciler.forget_gone(name, Versions())

    def close(self) -> None:
        """Begin nothing more; what is being loaded ends as soon as it can, and is not served."""
        self._background.close()
        self._reconciler.cancel()
        for task in self._tasks:
            task.cancel()

    async def _start(self, name: str) -> None:
        versions = await self._background.run(versions_of, self._config.models_dir / name)
        refused = await self._reconciler.reconcile(name, versions, tolerant=False)
        if not self._registry.versions(name):
            because = f" ({refused[0]})" if refused else ""
            raise RepositoryError(
                f"model {name!r} in {self._config.models_dir} has no version that can be served{because}"
            )

    async def _watch(self) -> None:
        while True:
            try:
                await self.look_once()
            except Draining:
                return
            except Exception:  # noqa: BLE001 - the loop has to outlive whatever is wrong with one look
                _log.exception("looking at %s failed; it is tried again", self._config.models_dir)
            await asyncio.sleep(self._config.poll_interval)

    async def _load_now(self, name: str, then: Callable[[], None]) -> None:
        versions = await self._versions_of(name)
        self._reconciler.retry_refused(name)
        refused = await self._reconciler.reconcile(name, versions, tolerant=False)
        if refused:
            now = listed(str(version) for version in self._registry.versions(name))
            raise LoadRejected(f"{refused[0]}; " + (f"served: {now}" if now else "no version of it is served"))
        if not self._registry.versions(name):
            raise LoadRejected(
                f"model {name!r} has no version that is to be served "
                f"(the version policy is {self._reconciler.policy}); it has {listed(map(str, versions))}"
            )
        then()

    async def _versions_of(self, name: str) -> Versions:
        try:
            found = await self._background.run(look, self._config.models_dir)
        except RepositoryError as error:
            _log.error("%s", error)
            raise LoadRejected("the model repository cannot be read; the server's log says more") from error
        if name not in found:
            raise NotFound(f"there is no model {quoted(name)} in the repository; it holds: {listed(found)}")
        versions = found[name]
        if versions is None:
            raise LoadRejected(f"the folder of model {name!r} cannot be read; check its permissions")
        return versions

    async def _sync(self, name: str, versions: Versions) -> None:
        if self._config.repository_mode == "poll":
            await self._reconciler.reconcile(name, versions)
        else:
            self._reconciler.note(name, versions)

    def _only_explicit(self, does: str) -> None:
        if self._registry.loading:
            raise StillLoading("the server is starting; try again in a few seconds")
        if self._config.repository_mode != "explicit":
            raise NotExplicit(
                f"this server {does} models by itself, by what lies in its repository; start it with "
                "--repository-mode explicit to decide by request"
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _log_abandoned(work: "asyncio.Task[None]") -> None:
    """Log the failure of a load whose caller has left, unless it was logged already."""
    if not work.cancelled() and (error := work.exception()) is not None and not isinstance(error, RequestError):
        _log.error("a model could not be loaded, and its caller has left", exc_info=error)
