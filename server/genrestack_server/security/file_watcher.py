"""Files that are read again when they change."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from genrestack_server.errors import StartError

_log = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
"""Time between two looks."""
_State: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"


class FileWatcher:
    """Looks at files once a second, and reads them again once they have changed and kept still for one look.

    They often change one after the other, a certificate before its key: read in between they would not fit.
    """

    def __init__(self, paths: Sequence[Path], reload: Callable[[], str]) -> None:
        """Watch from now on.

        Args:
            paths: the files.
            reload: reads them and says what was read, or raises StartError and leaves all as it was.

        """
        self._paths = paths
        self._reload = reload
        self._read = self._seen = self._state()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await asyncio.to_thread(self.poll)

    def poll(self) -> None:
        """Poll once."""
        state = self._state()
        if state == self._seen != self._read:
            self.reload()
        self._seen = state

    def reload(self) -> None:
        """Read the files now, and log what came of it."""
        self._read = self._state()
        try:
            _log.info("read again: %s", self._reload())
        except StartError as error:
            _log.error("%s; keeping the previous version", error)

    def _state(self) -> _State:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
