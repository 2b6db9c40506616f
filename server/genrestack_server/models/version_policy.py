"""Which versions of a model are served."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LATEST: Final = re.compile(r"latest:([1-9][0-9]{0,8})")
_LISTED: Final = re.compile(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*")


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """The newest N good versions, all good ones, or those of a list that are good."""

    latest: int | None = None
    """Maximum number of versions, the newest first; None: no bound."""
    listed: frozenset[int] | None = None
    """Only these; None: any."""

    @classmethod
    def parse(cls, text: str) -> "VersionPolicy":
        """Read `latest:N`, `all`, or numbers such as `1,3`.

        Raises:
            ValueError: naming what was found and what it may be.

        """
        plain = text.replace(" ", "")
        if plain == "all":
            return cls()
        if found := _LATEST.fullmatch(plain):
            return cls(latest=int(found[1]))
        if _LISTED.fullmatch(plain):
            return cls(listed=frozenset(map(int, plain.split(","))))
        raise ValueError(
            f"the version policy is {text[:100]!r}; write latest:N (latest:1 is the newest good version), all, "
            "or version numbers such as 1,3"
        )

    def candidates(self, versions: Iterable[int]) -> list[int]:
        """Return the versions that may be served, newest first."""
        return sorted((v for v in versions if self.listed is None or v in self.listed), reverse=True)

    def satisfied(self, good: int) -> bool:
        """Return whether this many good versions are as many as are served."""
        return self.latest is not None and good >= self.latest

    def __str__(self) -> str:
        if self.listed is not None:
            return ",".join(map(str, sorted(self.listed)))
        return "all" if self.latest is None else f"latest:{self.latest}"
