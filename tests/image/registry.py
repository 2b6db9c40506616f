"""The package registry as pip is told of it on this machine, for a build that sees nothing of this machine."""

import ast
import os
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

SECRET_CA: Final = "/run/secrets/ca"
PLACES: Final = ("index-url", "extra-index-url", "find-links", "constraint", "proxy", "trusted-host")
"""Settings that say where packages are."""
_SETTINGS: Final = (*PLACES, "timeout", "default-timeout", "retries", "no-index")


@dataclass(frozen=True)
class Registry:
    """What a build has to be given."""

    settings: Mapping[str, str]
    certificates: Path | None

    @classmethod
    def here(cls) -> "Registry":
        """Ask pip, which knows its files and its variables."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
        listed = subprocess.run(pip, check=True, capture_output=True, text=True).stdout
        found = read_settings(listed.splitlines())
        bundle = found.get("cert") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        return cls(found, Path(bundle) if bundle and Path(bundle).is_file() else None)

    def pip_conf(self) -> str:
        """Write the settings as the one file that the build sees."""
        kept = {name: value for name, value in self.settings.items() if name in _SETTINGS}
        if self.certificates:
            kept["cert"] = SECRET_CA
        lines = (f"{name} = {' '.join(value.split())}" for name, value in kept.items())
        return "\n".join(["[global]", *lines, ""])

    def local(self) -> list[Path]:
        """Name the files and folders of this machine that the settings speak of."""
        words = (word for name in PLACES for word in self.settings.get(name, "").split())
        paths = (Path(url2pathname(urlsplit(word).path) if word.startswith("file:") else word) for word in words)
        found = {_root(path) for path in paths if path.is_absolute() and path.exists()}
        return sorted(path for path in found if not any(path.is_relative_to(other) for other in found - {path}))

    def traces(self) -> list[str]:
        """Return what must not be found in an image: the addresses and paths of where its packages came from."""
        words = {word for name in PLACES for word in self.settings.get(name, "").split()}
        return sorted({*words, *(str(path) for path in self.local())})


def read_settings(lines: Iterable[str]) -> dict[str, str]:
    """Read `pip config list`: variables win over files, what is said of installing over what is said of all."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in lines:
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        if section in found:
            found[section][key] = ast.literal_eval(value)
    return {**found["global"], **found["install"], **found[":env:"]}


def _root(path: Path) -> Path:
    """Return what holds an index: its pages link to files beside them."""
    return path.parent if path.name == "simple" else path
