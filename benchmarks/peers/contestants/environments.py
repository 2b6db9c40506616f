"""The virtual environments of the contestants: what `requirements/` pins, installed once and kept."""

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.contestants.contest import ROOT
from benchmarks.contestants.prepared import CACHE

REQUIREMENTS: Final = Path(__file__).parents[1] / "requirements"
OURS: Final = "genrestack"
"""Begins the names of our own environments."""
_FINISHED: Final = ".finished"


@dataclass(frozen=True)
class Environment:
    """A Python with what a contestant needs."""

    python: Path
    packages: Path | None
    """Its `site-packages`; None: the Python that runs this, which holds more than any contestant needs."""

    def program(self, name: str) -> Path:
        """Return the place of an installed command."""
        return self.python.parent / name

    def installed_mb(self) -> float | None:
        """Size of all files installed, in units of 10⁶ bytes."""
        if self.packages is None:
            return None
        return sum(file.stat().st_size for file in self.packages.rglob("*") if file.is_file()) / 1e6

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """Return the versions of some of its distributions."""
        if self.packages is None:
            return {name: importlib.metadata.version(name) for name in names}
        found = importlib.metadata.distributions(path=[str(self.packages)])
        by_name = {_normal(each.metadata["Name"]): each.version for each in found}
        return {name: by_name[_normal(name)] for name in names}


def current() -> Environment:
    """Return the Python that runs this."""
    return Environment(Path(sys.executable), None)


def environment(name: str) -> Environment:
    """Make an environment where it is not there yet, of exactly what its requirements pin.

    Raises:
        click.ClickException: the packages cannot be installed.

    """
    folder = CACHE / "environments" / f"{name}-{_key(name)}"
    python = folder / "bin" / "python"
    if not (folder / _FINISHED).exists():
        click.echo(f"installing {name} …", err=True)
        for old in folder.parent.glob(f"{name}-{'?' * 16}"):
            shutil.rmtree(old)
        try:
            _install(name, folder, python)
        except subprocess.CalledProcessError as error:
            advice = "see pip's lines above, and run the same command again: what is installed is kept"
            raise click.ClickException(f"the environment of {name} cannot be made; {advice}") from error
        (folder / _FINISHED).touch()
    (packages,) = folder.glob("lib/python*/site-packages")
    return Environment(python, packages)


def _install(name: str, folder: Path, python: Path) -> None:
    # pip stays outside: it is not part of what a contestant needs.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    _pip("--python", str(python), "install", "--no-deps", "--requirement", str(REQUIREMENTS / f"{name}.txt"))
    if name.startswith(OURS):
        wheels = folder / "wheels"
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT))
        _pip("--python", str(python), "install", "--no-deps", *map(str, wheels.iterdir()))
        shutil.rmtree(wheels)
    _pip("--python", str(python), "check")


def _pip(*arguments: str) -> None:
    quiet = [] if "check" in arguments else ["--quiet"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *quiet, *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr.fileno(), cwd=ROOT)


def _key(name: str) -> str:
    """Name what is installed: the requirements, the Python, and for ours the code."""
    parts = [(REQUIREMENTS / f"{name}.txt").read_bytes(), sys.version.encode()]
    if name.startswith(OURS):
        folders = ("proto", "common", "client", "bundle", "server", "training", "export", "audio")
        kinds = {".py", ".binpb", ".c", ".h"}
        files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in kinds]
        parts += [(ROOT / "pyproject.toml").read_bytes(), *(file.read_bytes() for file in sorted(files))]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
