"""Keeps what is served in step with the repository: by itself (`poll`), or on request (`explicit`)."""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

from genrestack_bundle import ProviderError, still_missing
from genrestack_server.aside import Aside
from genrestack_server.calls import Observer
from genrestack_server.config import ServerConfig
from genrestack_server.errors import (
    DrainingError,
    LoadRefusedError,
    ModelNotFoundError,
    NotExplicitError,
    RepositoryError,
    StartError,
)
from genrestack_server.folders import Folders, Signature, seal, sign
from genrestack_server.loading import load_version, why
from genrestack_server.memory import give_back, keep_little
from genrestack_server.policy import VersionPolicy
from genrestack_server.registry import Registry, ServedModel, VersionState
from genrestack_server.repository import Trouble, look, versions_of
from genrestack_server.text import listed, shown

_log = logging.getLogger(__name__)


class Keeper:
    """Loads, swaps and lets go versions. Belongs to one event loop; everything slow is done in one thread aside.

    All changes are made under one lock, on the event loop, and each is a swap of the registry's table.
    """

    def __init__(
        self, config: ServerConfig, registry: Registry, observers: Observer, announce: Callable[[str, int], None]
    ) -> None:
        """Make a keeper that does nothing yet.

        Args:
            config: the repository, the policy, the mode.
            registry: what is served.
            observers: who is told of it.
            announce: called with a model's name and a version that has begun or ceased to be served.

        """
        self._config = config
        self._registry = registry
        self._observers = observers
        self._announce = announce
        self._policy = VersionPolicy.parse(config.version_policy)
        self._folders = Folders()
        self._aside = Aside("genrestack-load")
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = Trouble()
        self._loading = False

    @property
    def busy(self) -> bool:
        """Whether a version is being loaded just now, which nothing can interrupt."""
        return self._loading

    async def start(self, names: Sequence[str]) -> None:
        """Load these models, newest good versions first.

        Raises:
            RepositoryError: a model has no good version (unless `allow_empty`), or its folder cannot be read.
            StartError: the execution provider asked for is missing.
            DrainingError: `close` was called meanwhile.

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

    def watch(self) -> None:
        """Look at the repository once every `poll_interval` from now on."""
        self._spawn(self._watch())

    async def load(self, name: str) -> None:
        """See `Registry.load`."""
        await asyncio.shield(self._spawn(self._load_now(name)))

    async def unload(self, name: str) -> None:
        """See `Registry.unload`."""
        self._only_explicit("unloads")
        async with self._lock:
            if name not in self._registry.names():
                await self._versions_of(name)
            for version in self._registry.versions(name):
                self._let_go(name, version, "it was unloaded by request")

    async def look_once(self) -> None:
        """Look at the repository, and act on what is new, changed, or gone."""
        try:
            found = await self._aside.run(look, self._config.models_dir)
        except RepositoryError as error:
            self._trouble.begins(str(error))
            return
        if not found and self._registry.names():
            self._trouble.begins(f"{self._config.models_dir} holds no model any more")
            return
        self._trouble.ends()
        async with self._lock:
            for name in sorted({*found, *self._registry.names()}):
                versions = found.get(name, ())
                if versions is not None:
                    await self._catch_up(name, versions)
            self._forget_others(found)

    def close(self) -> None:
        """Begin nothing more; what is being loaded is finished aside and not served."""
        self._aside.close()
        for task in self._tasks:
            task.cancel()

    async def _start(self, name: str) -> None:
        versions = await self._aside.run(versions_of, self._config.models_dir / name)
        refused = await self._settle(name, versions, patient=False)
        if not self._registry.versions(name):
            because = f" ({refused[0]})" if refused else ""
            raise RepositoryError(
                f"model {name!r} in {self._config.models_dir} has no version that can be served{because}"
            )

    async def _watch(self) -> None:
        while True:
            try:
                await self.look_once()
            except DrainingError:
                return
            except Exception:  # noqa: BLE001 - the loop has to outlive whatever is wrong with one look
                _log.exception("looking at %s failed; it is tried again", self._config.models_dir)
            await asyncio.sleep(self._config.poll_interval)

    async def _load_now(self, name: str) -> None:
        self._only_explicit("loads")
        async with self._lock:
            versions = await self._versions_of(name)
            for version in versions:
                self._folders.of(name, version).refused = None
            refused = await self._settle(name, versions, patient=False)
        if refused:
            now = listed(str(version) for version in self._registry.versions(name))
            raise LoadRefusedError(f"{refused[0]}; " + (f"served: {now}" if now else "no version of it is served"))
        if not self._registry.versions(name):
            raise LoadRefusedError(
                f"model {name!r} has no version that is to be served (the version policy is {self._policy}); "
                f"it has {listed(map(str, versions))}"
            )

    async def _versions_of(self, name: str) -> list[int]:
        try:
            found = await self._aside.run(look, self._config.models_dir)
        except RepositoryError as error:
            _log.error("%s", error)
            raise LoadRefusedError("the model repository cannot be read; the server's log says more") from error
        if name not in found:
            raise ModelNotFoundError(f"there is no model {shown(name)} in the repository; it holds: {listed(found)}")
        versions = found[name]
        if versions is None:
            raise LoadRefusedError(f"the folder of model {name!r} cannot be read; check its permissions")
        return versions

    async def _catch_up(self, name: str, versions: Sequence[int]) -> None:
        if self._config.repository_mode == "poll":
            await self._settle(name, versions)
            return
        for version in versions:
            if version not in self._registry.versions(name) and self._folders.of(name, version).refused is None:
                self._registry.note(name, version, VersionState.UNAVAILABLE, "it is not loaded")

    async def _settle(self, name: str, present: Sequence[int], *, patient: bool = True) -> list[str]:
        """Serve what the policy wants of a model; return the versions refused, each with its reason."""
        good: list[int] = []
        refused: list[str] = []
        blinked = self._folders.blinked(name, self._registry.versions(name), present) if patient else []
        for version in self._policy.candidates({*present, *blinked}):
            if self._policy.satisfied(len(good)):
                break
            reason = await self._bring(name, version, there=version in present, patient=patient)
            if reason:
                refused.append(f"{name}/{version}: {reason}")
            if version in self._registry.versions(name):
                good.append(version)
        for version in sorted({*present, *self._registry.versions(name)} - set(good)):
            self._leave_out(name, version, gone=version not in present)
        return refused

    async def _bring(self, name: str, version: int, *, there: bool, patient: bool) -> str:
        """Load a version if it is new or changed; return the reason if it is refused now."""
        if not there:
            return ""
        folder, path = self._folders.of(name, version), self._config.models_dir / name / str(version)
        signature = await self._aside.run(sign, path)
        served = version in self._registry.versions(name)
        if served and seal(signature) == folder.loaded:
            self._registry.forget(name, version)
            return ""
        if signature == folder.refused:
            return ""
        if patient and (lacking := await self._aside.run(still_missing, path)) and folder.waits(signature):
            self._registry.note(name, version, VersionState.UNAVAILABLE, f"it is not complete yet: {lacking}")
            return ""
        return await self._load(name, version, signature)

    async def _load(self, name: str, version: int, signature: Signature) -> str:
        folder = self._folders.of(name, version)
        self._registry.note(name, version, VersionState.LOADING)
        began = time.monotonic()
        loaded = await self._aside.run(self._attempt, name, version)
        if isinstance(loaded, str):
            folder.refused = signature
            self._refuse(name, version, loaded)
            return loaded
        folder.loaded, folder.refused, folder.unchanged = seal(signature), None, 0
        self._free_afterwards(self._registry.versions(name).get(version))
        self._registry.add(loaded)
        self._announce(name, version)
        self._observers.loaded(loaded, time.monotonic() - began)
        return ""

    def _attempt(self, name: str, version: int) -> ServedModel | str:
        self._loading = True
        try:
            return load_version(name, version, self._config)
        except ProviderError as error:
            if self._registry.loading:
                raise StartError(str(error)) from error
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever an untrusted bundle provokes refuses it, and only it
            return why(error, self._config.models_dir)
        finally:
            self._loading = False

    def _refuse(self, name: str, version: int, reason: str) -> None:
        others = self._registry.versions(name)
        goes_on = f"; {name}/{max(others)} goes on" if others else ""
        _log.error("%s/%d is refused: %s%s", name, version, reason, goes_on)
        self._registry.note(name, version, VersionState.UNAVAILABLE, reason)
        self._observers.load_failed(name, version, reason)

    def _leave_out(self, name: str, version: int, *, gone: bool) -> None:
        reason = f"the version policy is {self._policy}"
        if version in self._registry.versions(name):
            self._let_go(name, version, "its folder is gone" if gone else reason)
        folder = self._folders.of(name, version)
        if gone:
            self._forget(name, version)
        elif folder.refused is None and folder.unchanged == 0:
            self._registry.note(name, version, VersionState.UNAVAILABLE, f"it is not served: {reason}")

    def _let_go(self, name: str, version: int, reason: str) -> None:
        _log.info("%s/%d is no longer served: %s", name, version, reason)
        self._free_afterwards(self._registry.remove(name, version))
        self._registry.note(name, version, VersionState.UNAVAILABLE, reason)
        self._folders.of(name, version).loaded = None
        self._announce(name, version)
        self._observers.unloaded(name, version)

    def _free_afterwards(self, served: ServedModel | None) -> None:
        """Once the last request has let a version go, give its memory back to the system too."""
        if served is not None:
            weakref.finalize(served, _give_back_soon, asyncio.get_running_loop(), self._aside).atexit = False

    def _forget(self, name: str, version: int) -> None:
        self._folders.forget(name, version)
        self._registry.forget(name, version)

    def _forget_others(self, found: dict[str, list[int] | None]) -> None:
        """Forget folders that are gone and were not served."""
        for entry in self._registry.index():
            versions: Collection[int] | None = found.get(entry.name, ())
            served = entry.version in self._registry.versions(entry.name)
            if versions is not None and entry.version not in versions and not served:
                self._forget(entry.name, entry.version)

    def _only_explicit(self, does: str) -> None:
        if self._config.repository_mode != "explicit":
            raise NotExplicitError(
                f"this server {does} models by itself, by what lies in its repository; start it with "
                "--repository-mode explicit to decide by request"
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _give_back_soon(loop: asyncio.AbstractEventLoop, aside: Aside) -> None:
    # Called by whichever thread let go last, and a moment before the memory is free.
    if not loop.is_closed():
        loop.call_soon_threadsafe(aside.soon, give_back)
