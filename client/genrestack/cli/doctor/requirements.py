"""What this distribution says it needs, against what is installed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

DISTRIBUTION: Final = "genrestack"
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?P<bounds>[^;]*)(?:;.*extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"])?"
)
_BOUND: Final = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9][0-9.]*)")


@dataclass(frozen=True)
class Requirement:
    """One package that is needed, always or for an extra."""

    name: str
    bounds: str
    """As in `>=1.18,<2`; "" for any version."""
    extra: str = ""

    @property
    def installed(self) -> str | None:
        """Version that is installed."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return None

    @property
    def fits(self) -> bool:
        """Whether the installed version is within the bounds."""
        found = self.installed
        return found is not None and all(
            _holds(_numbers(found), sign, _numbers(bound)) for sign, bound in _BOUND.findall(self.bounds)
        )


def read_requirements(texts: list[str] | None = None) -> list[Requirement]:
    """Read requirements as a distribution's metadata writes them; those of our own by default."""
    return list(_read(requires(DISTRIBUTION) or [] if texts is None else texts))


def _read(texts: list[str]) -> Iterator[Requirement]:
    for text in texts:
        if found := _REQUIREMENT.match(text):
            yield Requirement(found["name"], found["bounds"].strip(" ()"), found["extra"] or "")


def _numbers(text: str) -> tuple[int, ...]:
    """Read the numbers a version begins with; what follows them (rc1, +cpu) is left out."""
    leading = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _holds(found: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    return {
        ">=": found >= bound,
        "<=": found <= bound,
        "==": found == bound,
        "!=": found != bound,
        "<": found < bound,
        ">": found > bound,
    }[sign]
