"""What a setting is: its type, what it may be, and how it is read from text and from TOML.

A dataclass field `port: Annotated[int, Setting("server", "TCP port.", least=0)] = 50051` says everything there is to
know of a setting once; flags, environment variables, TOML keys, their help and their checks come from it.
"""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True)
class Setting:
    """One setting of a frozen options class; `settings_of` completes what the annotation leaves open."""

    section: str
    """Group in help, file and documentation."""
    about: str
    """One sentence for people, without what `least`, `most` and the default say already."""
    _: KW_ONLY
    least: float | None = None
    most: float | None = None
    pattern: str | None = None
    """Regular expression that a text has to match as a whole."""
    meant: str = ""
    """What `pattern` means, in words."""
    metavar: str = ""
    """What stands for the value in help."""
    unset: str = "none"
    """What None means."""
    flag: str = ""
    """Flag where it is not the name: several values are given one at a time."""
    argument: bool = False
    """Whether it stands on the command line without a flag."""

    name: str = ""
    kind: type = str
    """bool, int, float, str, Path, or tuple for several texts."""
    choices: tuple[str, ...] = ()
    optional: bool = False
    default: Any = None

    @property
    def option(self) -> str:
        """The flag, e.g. `--max-rows`."""
        return self.flag or "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What a value may be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.meant:
            return self.meant
        base = _WORDS[self.kind]
        if self.least is not None and self.most is not None:
            return f"{base} from {_plain(self.least)} to {_plain(self.most)}"
        return base if self.least is None else f"{base}, {_plain(self.least)} or more"

    def check(self, value: Any) -> None:
        """Refuse a value of the right type that cannot be meant.

        Raises:
            ValueError: `"is 0; it must be …"`, without the setting's name.

        """
        if value is None and self.optional:
            return
        if not self._fits(value):
            shown = value if self.kind in {int, float} else repr(str(value))
            raise ValueError(f"is {shown}; it must be {self.expected}")

    def of_text(self, text: str) -> Any:
        """Read a value from a flag or an environment variable; an empty text is None where None is allowed.

        Raises:
            ValueError: as `check`.

        """
        if not text and self.optional:
            return None
        try:
            value = self._convert(text.strip())
        except ValueError:
            raise ValueError(f"is {text!r}; it must be {self.expected}") from None
        self.check(value)
        return value

    def of_toml(self, value: object) -> Any:
        """Take a value that a TOML file holds.

        Raises:
            ValueError: as `check`.

        """
        if self.kind is float and type(value) is int:
            value = float(value)
        if self.kind is Path and isinstance(value, str) and value:
            value = Path(value)
        if self.kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = tuple(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise ValueError(f"is {value!r}; it must be {self.expected}")
        self.check(value)
        return value

    def _fits(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if self.pattern is not None:
            return re.fullmatch(self.pattern, value) is not None
        if self.kind in {str, Path}:
            return bool(str(value))
        # Written so that NaN fits nowhere.
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def _convert(self, text: str) -> Any:
        if self.kind is bool:
            if text.lower() not in TRUE | FALSE:
                raise ValueError
            return text.lower() in TRUE
        if self.kind is tuple:
            return tuple(text.replace(",", " ").split())
        if self.kind is Path and not text:
            raise ValueError
        return self.kind(text)


@cache
def settings_of(options: type) -> Mapping[str, Setting]:
    """Every setting of a frozen options class, by name, in its order."""
    hints = get_type_hints(options, include_extras=True)
    found = {}
    for entry in fields(options):
        hint = hints[entry.name]
        setting = next(extra for extra in hint.__metadata__ if isinstance(extra, Setting))
        found[entry.name] = replace(setting, name=entry.name, default=entry.default, **_resolved(hint.__origin__))
    return MappingProxyType(found)


def _resolved(hint: Any) -> dict[str, Any]:
    optional = False
    if get_origin(hint) in {Union, UnionType}:
        (hint,) = (member for member in get_args(hint) if member is not NoneType)
        optional = True
    if get_origin(hint) is Literal:
        return {"kind": str, "choices": get_args(hint), "optional": optional}
    return {"kind": get_origin(hint) or hint, "optional": optional}


def _plain(number: float) -> str:
    return f"{number:,}"


_WORDS: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    tuple: "a list of names",
}
