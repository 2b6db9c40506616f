"""The effective settings as a TOML file that can be fed back."""

from pathlib import Path
from typing import Any, Final

from genrestack_common.settings import Setting, settings_of
from genrestack_server.config import SECTIONS, ServerConfig
from genrestack_server.sources import Effective

_HEAD: Final = "# Settings of genrestack serve, each with where it came from; feed it back with --config FILE.\n"
_ESCAPES: Final = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\x7f": "\\u007f"} | {chr(code): f"\\u{code:04x}" for code in range(32)}
)


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
