"""Where settings come from: flags before environment variables before a TOML file before defaults; and back to TOML."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from genrestack_common.settings import Setting, read_toml, settings_of
from genrestack_common.text import did_you_mean, quoted
from genrestack_server.config.server_config import SECTIONS, ServerConfig
from genrestack_server.errors import SettingsError

PREFIX: Final = "GENRESTACK_SERVE_"
CONFIG_VARIABLE: Final = PREFIX + "CONFIG"
"""Variable that names the settings file."""
DEFAULT: Final = "default"
_HEAD: Final = "# Settings of genrestack serve, each with where it came from; feed it back with --config FILE.\n"
_ESCAPES: Final = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\x7f": "\\u007f"} | {chr(code): f"\\u{code:04x}" for code in range(32)}
)


@dataclass(frozen=True, slots=True)
class Effective:
    """A configuration, and where each of its values came from, in words."""

    config: ServerConfig
    origins: Mapping[str, str]


def effective(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None) -> Effective:
    """Lay the sources over one another.

    Args:
        flags: values given on the command line, already read and checked, by the setting's name.
        environ: the process's environment.
        file: TOML file of settings.

    Raises:
        SettingsError: naming the variable, or the file and key, at fault and what it may be.

    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(settings_of(ServerConfig), DEFAULT)
    for found, origin in (
        (read_file(file) if file is not None else {}, lambda _: f"file {file}"),
        (read_environment(environ), lambda setting: f"variable {variable(setting)}"),
        (flags, lambda setting: "argument" if setting.argument else f"flag {setting.option}"),
    ):
        values |= found
        origins |= _named(found, origin)
    try:
        return Effective(ServerConfig(**values), origins)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def variable(setting: Setting) -> str:
    """Name the environment variable of a setting."""
    return PREFIX + setting.name.upper()


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read what the environment sets; an empty variable sets nothing.

    Raises:
        SettingsError: naming the variable and what it may be.

    """
    values = {}
    for name, setting in settings_of(ServerConfig).items():
        if not (text := environ.get(variable(setting), "").strip()):
            continue
        try:
            values[name] = setting.of_text(text)
        except ValueError as error:
            raise SettingsError(f"the environment variable {variable(setting)} {error}{_service_link(text)}") from None
    return values


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Suggest, for every variable with our prefix that sets nothing, what it may have been meant as."""
    known = {CONFIG_VARIABLE, *map(variable, settings_of(ServerConfig).values())}
    strays = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [f"the environment variable {name} sets nothing{did_you_mean(name, known)}" for name in strays]


def read_file(path: Path) -> dict[str, Any]:
    """Read a settings file; a relative path in it starts at the file's own folder.

    Raises:
        SettingsError: naming the file and the section or key at fault, and what it may be.

    """
    values: dict[str, Any] = {}
    for title, section in _parsed(path).items():
        if title not in SECTIONS:
            raise SettingsError(f"{path}: {_misplaced(title, SECTIONS)}")
        if not isinstance(section, dict):
            raise SettingsError(f"{path}: {title} must be a section: write [{title}] on a line of its own")
        for key, value in section.items():
            values[key] = _of_file(path, title, key, value)
    return values


def _of_file(path: Path, title: str, key: str, value: object) -> Any:
    setting = settings_of(ServerConfig).get(key)
    if setting is None or setting.section != title:
        raise SettingsError(f"{path}: [{title}] {_misplaced(key, _keys(title))}")
    try:
        taken = setting.of_toml(value)
    except ValueError as error:
        raise SettingsError(f"{path}: {title}.{key} {error}") from None
    return path.parent / taken if isinstance(taken, Path) else taken


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _keys(title: str) -> list[str]:
    return [name for name, setting in settings_of(ServerConfig).items() if setting.section == title]


def _misplaced(name: str, known: Collection[str]) -> str:
    setting = settings_of(ServerConfig).get(name)
    if setting is not None:
        return f"does not hold {name}; it belongs in [{setting.section}]"
    return f"has no section or key {quoted(name)}{did_you_mean(name, known)}"


def _named(found: Mapping[str, Any], origin: Callable[[Setting], str]) -> dict[str, str]:
    return {name: origin(settings_of(ServerConfig)[name]) for name in found}


def _service_link(text: str) -> str:
    """Kubernetes sets NAME_PORT to an address for every service NAME beside a pod."""
    if not text.startswith("tcp://"):
        return ""
    return " (Kubernetes sets it for a service called genrestack-serve: give the pod enableServiceLinks: false)"


def as_toml(effective: Effective) -> str:
    """Write every setting; one that is None stands as a comment."""
    lines = [_HEAD]
    for section in SECTIONS:
        lines.append(f"[{section}]")
        for name, setting in settings_of(ServerConfig).items():
            if setting.section == section:
                lines.append(_line(setting, getattr(effective.config, name), effective.origins[name]))
        lines.append("")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Write one value as TOML; a path is made absolute, so that the file may be moved."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Path):
        value = str(value.absolute())
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else repr(value)


def _line(setting: Setting, value: Any, origin: str) -> str:
    origin = origin.translate(_ESCAPES)
    if value is None:
        return f"# {setting.name} =  # {origin}: {setting.unset}"
    return f"{setting.name} = {toml_value(value)}  # {origin}"
