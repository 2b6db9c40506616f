"""Check one value of a settings file against what its setting may be."""

import math
from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from genrestack_training.errors import SettingsError


def checked(where: str, value: Any, setting: "Field[Any]") -> Any:
    """Give the value in the setting's own type.

    Args:
        where: how messages name the setting, such as `[mlp] epochs`.
        value: what a TOML file or a caller gave.
        setting: the dataclass field, whose metadata holds the limits.

    Raises:
        SettingsError: the type is wrong or a limit is broken.

    """
    if isinstance(setting.default, tuple):
        return _checked_list(where, value, setting)
    value = _typed(where, value, setting.default, setting.metadata)
    _check_limits(where, value, setting.metadata)
    return value


def _checked_list(where: str, value: Any, setting: "Field[Any]") -> tuple[Any, ...]:
    default: tuple[Any, ...] = setting.default  # type: ignore[assignment]  # the caller has seen that it is a tuple
    if not isinstance(value, list | tuple):
        raise SettingsError(f"{where} must be a list such as {list(default)}, not {value!r}")
    if len(value) < setting.metadata.get("least_items", 0):
        raise SettingsError(f"{where} is empty; name at least one of {_listed(setting.metadata['choices'])}")
    items = tuple(_typed(where, item, default[0], setting.metadata) for item in value)
    for item in items:
        _check_limits(where, item, setting.metadata)
    if "choices" in setting.metadata and len(set(items)) < len(items):
        raise SettingsError(f"{where} names one twice: {_listed(items)}")
    return items


def _typed(where: str, value: Any, default: Any, limits: Mapping[str, Any]) -> Any:
    """Give the value as the default's type; a whole number may stand where a fraction may."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (isinstance(default, float) or (isinstance(default, str) and "above" in limits)):
        try:
            return float(value)
        except OverflowError:
            raise SettingsError(f"{where} must be finite, and this is a number of hundreds of digits") from None
    if type(value) is type(default):
        return value
    kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}[type(default)]
    raise SettingsError(f"{where} must be {kind}, not {value!r}")


def _check_limits(where: str, value: Any, limits: Mapping[str, Any]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{where} must be finite, not {value!r}")
    free = isinstance(value, float) and "above" in limits
    if "choices" in limits and not free and value not in limits["choices"]:
        raise SettingsError(f"{where} must be one of {_listed(limits['choices'])}, not {value!r}")
    if isinstance(value, str):
        return
    if "least" in limits and value < limits["least"]:
        raise SettingsError(f"{where} must be at least {limits['least']}, not {value!r}")
    if "above" in limits and value <= limits["above"]:
        raise SettingsError(f"{where} must be above {limits['above']:g}, not {value!r}")
    if "below" in limits and value >= limits["below"]:
        raise SettingsError(f"{where} must be below {limits['below']:g}, not {value!r}")


def _listed(values: Any) -> str:
    return ", ".join(repr(v) for v in values)
