"""Loading and unloading by request, in every worker: the one that was asked does it, and has the others told."""

import logging
from collections.abc import Callable

from genrestack_server.errors import RequestError
from genrestack_server.models.registry import Management

_log = logging.getLogger(__name__)


class Relay(Management):
    """Stands before the management of one worker."""

    def __init__(self, here: Management, tell: Callable[[str, str], None]) -> None:
        """Relay.

        Args:
            here: loads and unloads in this worker.
            tell: has the other workers told, `load` or `unload` and a model's name.

        """
        self._here = here
        self._tell = tell

    async def load(self, name: str, then: Callable[[], None] = lambda: None) -> None:
        """Load here; once that has succeeded, everywhere, even if the caller has left meanwhile."""

        def loaded() -> None:
            self._tell("load", name)
            then()

        await self._here.load(name, loaded)

    async def unload(self, name: str) -> None:
        """Unload here, and then everywhere."""
        await self._here.unload(name)
        self._tell("unload", name)

    async def follow(self, deed: str, name: str) -> None:
        """Do as another worker did."""
        try:
            await (self._here.load(name) if deed == "load" else self._here.unload(name))
        except RequestError as error:
            _log.warning("another worker did %s model %r, this one could not: %s", deed, name, error)
