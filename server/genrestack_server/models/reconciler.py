"""Brings what is served of one model in line with its folder and the version policy."""

import logging
import time
from collections.abc import Callable, Container, Sequence
from typing import Final

from genrestack_bundle import Cancellation, LoadCancelledError, ProviderError
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import Draining, StartError
from genrestack_server.models.background import BackgroundThread, give_back_once_freed
from genrestack_server.models.fingerprint import Folders, FolderStatus, poll_folders
from genrestack_server.models.loader import load_version, why
from genrestack_server.models.registry import Registry, ServedModel, VersionState
from genrestack_server.models.repository import Versions
from genrestack_server.models.version_policy import VersionPolicy
from genrestack_server.telemetry.observer import Observer

_log = logging.getLogger(__name__)

Changed = Callable[[str, int], None]

# Maximum folders polled before control returns to the event loop.
_FOLDERS_AT_ONCE: Final = 250


class Reconciler:
    """Loads the versions that the policy wants of a model, and lets go the others. One call at a time."""

    def __init__(
        self,
        config: ServerConfig,
        registry: Registry,
        observers: Observer,
        changed: Changed,
        background: BackgroundThread,
    ) -> None:
        """Make a reconciler that has seen no folder yet.

        Args:
            config: the repository, the policy.
            registry: what is served.
            observers: notified of it.
            changed: called with a model's name and a version that has begun or ceased to be served.
            background: the thread in which everything slow is done.

        """
        self.policy = VersionPolicy.parse(config.version_policy)
        self._config = config
        self._registry = registry
        self._observers = observers
        self._changed = changed
        self._background = background
        self._folders = Folders()
        self._loading = False
        self._cancellation = Cancellation()

    @property
    def loading(self) -> bool:
        """Whether a version is being loaded just now."""
        return self._loading

    def cancel(self) -> None:
        """End what is being loaded as soon as it can be, and load nothing more."""
        self._cancellation.cancel()

    def known(self) -> set[str]:
        """Return the models of which a version has a state or a folder was seen."""
        return {*self._registry.models_with_state(), *self._folders.names()}

    def retry_refused(self, name: str) -> None:
        """Forget which versions of a model were refused, so that they are tried again."""
        for folder in self._folders.of_model(name).values():
            folder.refused = None

    def note(self, name: str, present: Versions) -> None:
        """Keep in the registry what lies on disk of a model that is loaded on request alone."""
        folders, served = self._folders.of_model(name), self._registry.versions(name)
        for version in self._registry.with_state(name):
            if version not in served and (version not in folders or folders[version].refused is None):
                self._registry.clear_state(name, version)
        self._registry.set_on_disk(name, present, "it is not loaded")
        self.forget_gone(name, present)

    async def reconcile(self, name: str, present: Versions, *, tolerant: bool = True) -> list[str]:
        """Serve what the policy wants of a model; return the versions refused, each with its reason."""
        good: set[int] = set()
        refused: list[str] = []
        temporarily_missing = (
            self._folders.temporarily_missing(name, self._registry.versions(name), present) if tolerant else []
        )
        candidates = await self._background.run(self.policy.candidates, [*present, *temporarily_missing])
        polled = 0
        while polled < len(candidates) and not self.policy.satisfied(len(good)):
            statuses = await self._poll(
                name, candidates[polled : polled + _FOLDERS_AT_ONCE], len(good), tolerant=tolerant
            )
            polled += len(statuses)
            for each in statuses:
                if reason := await self._apply(name, each):
                    refused.append(f"{name}/{each.version}: {reason}")
                if each.version in self._registry.versions(name):
                    good.add(each.version)
        self._unload_others(name, present, good)
        return refused

    def unload(self, name: str, version: int, reason: str) -> None:
        """Serve a version no more; its memory is given back once its last request is answered."""
        _log.info("%s/%d is no longer served: %s", name, version, reason)
        give_back_once_freed(self._registry.remove(name, version), self._background)
        self._registry.set_state(name, version, VersionState.UNAVAILABLE, reason)
        self._folders.of(name, version).loaded = None
        self._changed(name, version)
        self._observers.unloaded(name, version)

    def forget_gone(self, name: str, present: Versions) -> None:
        """Forget folders that are gone and are not served."""
        for version in {*self._registry.with_state(name), *self._folders.of_model(name)}.difference(present):
            if version not in self._registry.versions(name):
                self._folders.clear_state(name, version)
                self._registry.clear_state(name, version)

    async def _poll(self, name: str, versions: Sequence[int], good: int, *, tolerant: bool) -> list[FolderStatus]:
        return await self._background.run(
            poll_folders,
            self._config.models_dir / name,
            versions,
            self._folders.of_model(name),
            enough=None if self.policy.latest is None else self.policy.latest - good,
            tolerant=tolerant,
        )

    async def _apply(self, name: str, status: FolderStatus) -> str:
        """Load a version if it is new or changed; return the reason if it is refused now."""
        if status.fingerprint is None:
            if not self._folders.of(name, status.version).absent:
                self._registry.clear_state(name, status.version)
            return ""
        if status.refused:
            return ""
        if status.lacking and self._folders.of(name, status.version).still_copying(status.fingerprint):
            reason = f"it is not complete yet: {status.lacking}"
            self._registry.set_state(name, status.version, VersionState.UNAVAILABLE, reason)
            return ""
        return await self._load(name, status.version, status.fingerprint)

    async def _load(self, name: str, version: int, fingerprint: bytes) -> str:
        folder = self._folders.of(name, version)
        self._registry.set_state(name, version, VersionState.LOADING)
        began = time.monotonic()
        loaded = await self._background.run(self._attempt, name, version)
        if isinstance(loaded, str):
            folder.refused = fingerprint
            self._reject(name, version, loaded)
            return loaded
        folder.loaded, folder.refused, folder.unchanged = loaded.sums, None, 0
        if (replaced := self._registry.versions(name).get(version)) is not None:
            give_back_once_freed(replaced, self._background)
        self._registry.add(loaded)
        self._changed(name, version)
        self._observers.loaded(loaded, time.monotonic() - began)
        return ""

    def _attempt(self, name: str, version: int) -> ServedModel | str:
        self._loading = True
        try:
            return load_version(name, version, self._config, self._cancellation)
        except LoadCancelledError as error:
            raise Draining("the server is stopping; ask another server") from error
        except ProviderError as error:
            if self._registry.loading:
                raise StartError(str(error)) from error
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever an untrusted bundle provokes refuses it, and only it
            return why(error, self._config.models_dir)
        finally:
            self._loading = False

    def _reject(self, name: str, version: int, reason: str) -> None:
        others = self._registry.versions(name)
        serving = f"; still serving {name}/{max(others)}" if others else ""
        _log.error("rejected %s/%d: %s%s", name, version, reason, serving)
        self._registry.set_state(name, version, VersionState.UNAVAILABLE, reason)
        self._observers.load_failed(name, version, reason)

    def _unload_others(self, name: str, present: Versions, good: Container[int]) -> None:
        reason = f"the version policy is {self.policy}"
        for version in self._registry.versions(name):
            if version not in good:
                self.unload(name, version, reason if version in present else "its folder is gone")
                self._registry.clear_state(name, version)
        self._registry.set_on_disk(name, present, f"it is not served: {reason}")
        self.forget_gone(name, present)
