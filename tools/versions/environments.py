"""Environments of a case: resolved and installed by uv, as wheels alone, with no C compiler to be had."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.versions.cases import ROOT, Case

Pins = Mapping[str, Version]
Follow = Callable[[str], None]
"""Called with each line that a program prints."""

CONSTRAINTS: Final = ROOT / "constraints.txt"
_TEST_TOOLS: Final = ("cryptography", "hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
# Tests write bundles of their own with it, and the server does without: any version that goes with a case's others.
_WRITING: Final = "onnx"
_STRATEGY: Final = {"lowest": "lowest-direct", "newest": "highest", "pinned": "highest"}
_WHEELS: Final = ("--only-binary", ":all:")
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


class StepError(Exception):
    """A program of a step failed; what it printed is in the log."""


@dataclass(frozen=True)
class Workshop:
    """A folder for environments, with uv's cache in it, so that they share files with it."""

    folder: Path

    def find_python(self, python: str) -> Path | None:
        """Return an interpreter of this minor version, if the machine has one."""
        argv = [_uv(), "python", "find", "--no-python-downloads", "--no-project", "--system", python]
        # pyenv puts on PATH what calls only the version that is active.
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{python}.*/bin")
        env = os.environ | {"PATH": os.pathsep.join([*map(str, pyenv), os.environ["PATH"]])}
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=self.folder, env=env)
        return Path(done.stdout.strip()) if done.returncode == 0 else None

    def resolve(self, case: Case) -> Pins:
        """Resolve a case's requirements, on any machine; what is found stays in `NAME.txt`.

        Raises:
            StepError: no set of wheels satisfies the bounds, or the lowest ones cannot be reached together.

        """
        extras = [word for extra in case.extras for word in ("--extra", extra)]
        how = ["--resolution", _STRATEGY[case.resolution], "--python-version", case.python, *_WHEELS]
        to = ["--no-header", "--no-annotate", "--output-file", str(self.listing(case))]
        self.uv(case, "pip", "compile", *how, *extras, *self._held(case), *to, str(ROOT / "pyproject.toml"))
        return read_pins(self.listing(case))

    def _held(self, case: Case) -> list[str]:
        """Return the options that hold versions where a case wants them."""
        if case.resolution == "pinned":
            return ["--constraint", str(CONSTRAINTS)]
        if case.resolution == "newest" or not case.reached:
            return []
        held = self.folder / f"{case.name}.bounds.txt"
        held.write_text("".join(f"{line}\n" for line in lower_bounds(case)), encoding="utf-8")
        return ["--constraint", str(held)]

    def install(self, case: Case, interpreter: Path, follow: Follow) -> Path:
        """Install a resolved case, the tests' tools, and the project itself; returns its folder of programs.

        Raises:
            StepError: something cannot be installed without a compiler.

        """
        environment = self.folder / case.name
        self.uv(case, "venv", "--clear", "--python", str(interpreter), str(environment), follow=follow)
        into = ["pip", "install", "--python", str(environment / "bin" / "python")]
        tested_with = [f"{name}=={read_pins(CONSTRAINTS)[name]}" for name in _TEST_TOOLS]
        listed = ("--requirement", str(self.listing(case)))
        self.uv(case, *into, *_WHEELS, *listed, *tested_with, _WRITING, follow=follow)
        self.uv(case, *into, "--no-deps", str(ROOT), follow=follow)
        return environment / "bin"

    def listing(self, case: Case) -> Path:
        """Return the file with a case's versions."""
        return self.folder / f"{case.name}.txt"

    def log(self, case: Case) -> Path:
        """Return the file with everything that a case's programs print."""
        return self.folder / f"{case.name}.log"

    def uv(self, case: Case, *arguments: str, follow: Follow = lambda _: None) -> None:
        """Run uv with a cache beside the environments, and no compiler."""
        settings = {"UV_CACHE_DIR": str(self.folder / "cache"), "CC": "/bin/false", "CXX": "/bin/false"}
        run_logged([_uv(), *arguments], self.log(case), os.environ | settings, ROOT, follow)


def run_logged(argv: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path, follow: Follow) -> list[str]:
    """Run a program, append what it prints to the log, and return it, line by line.

    Raises:
        StepError: it failed; says with what, and where the log is.

    """
    lines: list[str] = []
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=dict(env), cwd=cwd
        ) as process,
    ):
        file.write(f"$ {' '.join(argv)}\n")
        for line in process.stdout or ():
            file.write(line)
            lines.append(line.rstrip())
            follow(line)
    if process.returncode:
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        raise StepError(f"exit status {process.returncode}: {last} (see {log})")
    return lines


def read_pins(path: Path) -> Pins:
    """Read a file of `name==version` lines, by canonical name."""
    found = map(_PIN.match, path.read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(match[1]): Version(match[2]) for match in found if match}


def lower_bounds(case: Case) -> Iterator[str]:
    """Yield each lower bound that a case has to reach as the version to install, as in `tf2onnx==1.17`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {"": project["dependencies"], **project["optional-dependencies"]}
    texts = [text for extra in case.reached for text in asked[extra]]
    highest: dict[str, Version] = {}
    for requirement in map(Requirement, texts):
        bounds = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        if len(bounds) != 1:
            raise StepError(f"pyproject.toml: {requirement} has no lower bound, or several")
        highest[requirement.name] = max(bounds[0], highest.get(requirement.name, bounds[0]))
    yield from (f"{name}=={bound}" for name, bound in highest.items())


def _uv() -> str:
    return str(Path(sys.executable).parent / "uv")
