"""What a setting is: its type, what it may be, and how it is read from text and from TOML.

A dataclass field `port: Annotated[int, Setting("server", "TCP port.", least=0)] = 50051` says everything there is to
know of a setting once; flags, environment variables, TOML keys, their help and their checks come from it.
"""

import csv
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from genrestack_common.files import UnreadableFileError, read_text
from genrestack_common.text import quoted

TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})
# A key of many parts costs the square of their number.
_MAX_FILE_BYTES: Final = 2**16
_TOML: Final = "write [section] on a line of its own, and lines such as name = value below it"
_NUMBERS: Final = (int, float)


@dataclass(frozen=True)
class Setting:
    """One setting of a frozen options class; `settings_of` completes what the annotation leaves open."""

    section: str
    """Group in help, file and documentation."""
    about: str
    """One sentence for people, without what the bounds and the default say already."""
    _: KW_ONLY
    least: float | None = None
    most: float | None = None
    above: float | None = None
    """Lower bound that is not reached itself."""
    below: float | None = None
    """Upper bound that is not reached itself."""
    finite: bool = True
    """Whether a number may not be infinite either; none may be NaN."""
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
    least_items: int = 0
    blanks: bool = False
    """Whether names of a list hold blanks: commas alone separate them, and quotes keep those of a name."""

    name: str = ""
    kind: type = str
    """bool, int, float, str, Path, or tuple for several of `item`."""
    item: type = str
    choices: tuple[Any, ...] = ()
    """All it may be; of a number that has texts here, what it may be beside a number."""
    optional: bool = False
    default: Any = None

    @property
    def option(self) -> str:
        """The flag, e.g. `--max-rows`."""
        return self.flag or "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What a value may be, in words."""
        if self.meant:
            return self.meant
        if self.kind is tuple:
            return self._expected_list()
        words = ", ".join(map(str, self.choices))
        if self.choices and not self._is_number_or_word:
            return f"one of {words}"
        return (f"{words}, or " if words else "") + _SINGULAR[self.kind] + self._bounds()

    def check(self, value: Any) -> None:
        """Refuse a value of the right type that cannot be meant.

        Raises:
            ValueError: `"is 0; it must be …"`, without the setting's name.

        """
        if value is None and self.optional:
            return
        if not self._fits(value):
            raise self._refusal(str(value) if isinstance(value, Path) else value)

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
            raise self._refusal(text) from None
        self.check(value)
        return value

    def of_toml(self, value: object) -> Any:
        """Convert a value of a TOML file.

        Raises:
            ValueError: as `check`.

        """
        if self._is_number_or_word and isinstance(value, str):
            taken: Any = value
        elif self.kind is tuple:
            if not isinstance(value, list | tuple):
                raise self._refusal(value)
            taken = tuple(self._typed(self.item, item) for item in value)
        else:
            taken = self._typed(self.kind, value)
        self.check(taken)
        return taken

    @property
    def _is_number_or_word(self) -> bool:
        return bool(self.choices) and self.kind is float

    def _expected_list(self) -> str:
        if not self.choices:
            return f"a list of {_PLURAL[self.item]}{self._bounds()}"
        return f"a list of {'one or more' if self.least_items else 'any'} of {', '.join(self.choices)}, each once"

    def _bounds(self) -> str:
        if self.least is not None and self.most is not None:
            return f" from {_plain(self.least)} to {_plain(self.most)}"
        lower = f", {_plain(self.least)} or more" if self.least is not None else ""
        lower = f" above {_plain(self.above)}" if self.above is not None else lower
        upper = f" below {_plain(self.below)}" if self.below is not None else ""
        return f"{lower}{' and' if lower and upper else ''}{upper}"

    def _refusal(self, value: object) -> ValueError:
        return ValueError(f"is {quoted(value)}; it must be {self.expected}")

    def _typed(self, kind: type, value: object) -> Any:
        """Return the value in a type; a whole number may stand where a fraction may, and a text for a path."""
        if kind is float and type(value) is int:
            try:
                return float(value)
            except OverflowError:
                raise self._refusal(value) from None
        if kind is Path and isinstance(value, str) and value:
            return Path(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._refusal(value)
        return value

    def _fits(self, value: Any) -> bool:
        if self.kind is not tuple:
            return self._fits_one(value)
        once = not self.choices or len(set(value)) == len(value)
        return once and len(value) >= self.least_items and all(map(self._fits_one, value))

    def _fits_one(self, value: Any) -> bool:
        if self.choices and not (self._is_number_or_word and isinstance(value, float)):
            return value in self.choices
        if self.pattern is not None:
            return re.fullmatch(self.pattern, value) is not None
        return self._within(value) if isinstance(value, _NUMBERS) else bool(str(value))

    def _within(self, value: float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value) or (math.isinf(value) and not self.finite))
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def _convert(self, text: str) -> Any:
        if self.kind is bool:
            if text.lower() not in TRUE | FALSE:
                raise ValueError
            return text.lower() in TRUE
        if self.kind is tuple:
            return tuple(map(self.item, _cells(text) if self.blanks else text.replace(",", " ").split()))
        if self.kind is Path and not text:
            raise ValueError
        return self.kind(text)


@cache
def settings_of(options: type) -> Mapping[str, Setting]:
    """Return every setting of a frozen options class, by name, in its order."""
    hints = get_type_hints(options, include_extras=True)
    found = {}
    for entry in fields(options):
        hint = hints[entry.name]
        setting = next(extra for extra in hint.__metadata__ if isinstance(extra, Setting))
        found[entry.name] = replace(setting, name=entry.name, default=entry.default, **_resolved(hint.__origin__))
    return MappingProxyType(found)


def check_settings(options: Any) -> None:
    """Check every value of an options object.

    Raises:
        ValueError: naming the setting and what it may be.

    """
    kind: type = type(options)
    for name, setting in settings_of(kind).items():
        try:
            setting.check(getattr(options, name))
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises:
        ValueError: it cannot be read, is larger than 64 KiB, or is not TOML; the message names it.

    """
    try:
        return tomllib.loads(read_text(path, _MAX_FILE_BYTES))
    except UnreadableFileError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError(f"{path} is not TOML: lists or tables are nested too deeply; {_TOML}") from None
    except ValueError as error:
        # Also numbers of more digits than Python reads.
        raise ValueError(f"{path} is not TOML: {error}; {_TOML}") from None


def _resolved(hint: Any) -> dict[str, Any]:
    """Return what a type says: kind, item, choices, optional."""
    members = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    found: dict[str, Any] = {"optional": NoneType in members}
    for member in members:
        if get_origin(member) is tuple:
            (item, _) = get_args(member)
            found |= {"kind": tuple} | {"item" if key == "kind" else key: of for key, of in _single(item).items()}
        elif member is not NoneType:
            # Of a number and words the kind is the number's.
            found |= {key: of for key, of in _single(member).items() if key != "kind" or found.get("kind") is not float}
    return found


def _single(hint: Any) -> dict[str, Any]:
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return {"kind": type(choices[0]), "choices": choices}
    return {"kind": hint}


def _cells(text: str) -> list[str]:
    return [cell for row in csv.reader([text], skipinitialspace=True) for name in row if (cell := name.strip())]


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


_SINGULAR: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}
_PLURAL: Final[dict[type, str]] = {int: "whole numbers", str: "names"}
