"""Write the hashed requirements of the container images: `make requirements`.

What uv resolves for an image's extras, under `constraints.txt`, for each Python an image may be built for; then,
version by version, the sha256 of the wheel that pip takes on each of these Pythons and processors. Files hold names,
versions and hashes alone, and the Pythons that need a package where not all do: where the wheels come from is
chosen when building.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "deploy" / "requirements"
PYTHONS: Final = ("3.11", "3.12", "3.13")
MACHINES: Final = ("x86_64", "aarch64")
GLIBC: Final = range(36, 4, -1)
"""Minor versions: Debian bookworm's, and down to what wheels were first built for."""
EXTRAS: Final[Mapping[str, Sequence[str]]] = {
    "server-cpu": ("server", "http", "otel"),
    "server-gpu": ("server-gpu", "http", "otel"),
    "train": ("train", "server", "audio", "otel"),
}
BUILD: Final = "build"
CUDA: Final = "onnxruntime-gpu[cuda,cudnn]"
"""Brings CUDA's libraries along, so that the image for GPUs needs nothing of its base but Python."""
ONLY: Final[Mapping[str, Sequence[str]]] = {"server-gpu": ("x86_64",)}
"""Files whose wheels are not made for every machine."""

_FOR_ANOTHER: Final = ("--no-deps", "--target", "unused", "--ignore-requires-python")
"""Options of pip for another Python than this; it would hold what it has found against this one."""

Pins = dict[str, list[str]]
"""Pythons that need a package, by `name==version`."""
Hashes = dict[str, set[str]]
"""sha256 sums by `name==version`."""


def wanted(name: str) -> list[str]:
    """Return what one file begins with: the requirements of the project, or of building its wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if name == BUILD:
        return ["pip", *project["build-system"]["requires"]]
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *(each for extra in EXTRAS[name] for each in extras[extra])]
    return [*asked, CUDA] if "server-gpu" in EXTRAS[name] else asked


def resolve(requirements: Iterable[str]) -> Pins:
    """Let uv decide, under the constraints, for each Python."""
    found: Pins = defaultdict(list)
    for python in PYTHONS:
        for pin in _compiled("\n".join(requirements), python):
            found[pin].append(python)
    return dict(sorted(found.items()))


def hashes(pins: Pins, machines: Sequence[str]) -> Hashes:
    """Ask pip which wheel it takes of each version, for each Python that needs it, and machine."""
    found: Hashes = defaultdict(set)
    for python in PYTHONS:
        needed = [pin for pin, pythons in pins.items() if python in pythons]
        for machine in machines:
            for each in _report(needed, *_FOR_ANOTHER, "--python-version", python, *_tags(machine)):
                found[_pin(each)].add(each["download_info"]["archive_info"]["hashes"]["sha256"])
    return found


def as_text(name: str, pins: Pins, sums: Hashes, machines: Sequence[str]) -> str:
    """Write one requirements file."""
    what = "pip and the build backend" if name == BUILD else f"genrestack[{','.join(EXTRAS[name])}]"
    lines = [
        f"# {what}: Python {PYTHONS[0]} to {PYTHONS[-1]}, {' and '.join(machines)}.",
        "# Made by `make requirements` from pyproject.toml and constraints.txt; do not edit.",
    ]
    for pin, pythons in pins.items():
        lines += [f"{pin}{_marker(pythons)} \\", *(f"    --hash=sha256:{each} \\" for each in sorted(sums[pin]))]
        lines[-1] = lines[-1].removesuffix(" \\")
    return "\n".join(lines) + "\n"


def _marker(pythons: Sequence[str]) -> str:
    """Name the Pythons that need a package, unless all do."""
    needing = " or ".join(f'python_version == "{python}"' for python in pythons)
    return "" if tuple(pythons) == PYTHONS else f" ; {needing}"


def _compiled(requirements: str, python: str) -> list[str]:
    """Return `name==version` of everything that one Python needs."""
    argv = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    how = ["--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt"), "--python-version", python, "-"]
    done = subprocess.run([*argv, *how], input=requirements, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    lines = [line.strip() for line in done.stdout.splitlines()]
    # What is not safe to pin, as pip itself, uv names in a comment and leaves out.
    return [line for line in lines if "==" in line and not line.startswith("#")]


def _report(requirements: Iterable[str], *options: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        asked, report = Path(folder, "asked.txt"), Path(folder, "report.json")
        asked.write_text("\n".join(requirements), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--dry-run", "--ignore-installed"]
        options = ("--only-binary", ":all:", "--report", str(report), "--requirement", str(asked), *options)
        subprocess.run([*pip, *options], check=True, cwd=folder)
        found: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
        return found


def _pin(installed: Mapping[str, Any]) -> str:
    return f"{canonicalize_name(installed['metadata']['name'])}=={installed['metadata']['version']}"


def _tags(machine: str) -> list[str]:
    """Name the platforms a machine takes wheels of, the best first, as pip does for the machine it runs on."""
    newer = [f"manylinux_2_{minor}" for minor in GLIBC]
    platforms = [*newer, "manylinux2014", "manylinux2010", "manylinux1", "linux"]
    return [word for platform in platforms for word in ("--platform", f"{platform}_{machine}")]


def main() -> None:
    """Regenerate every file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in (BUILD, *EXTRAS):
        machines = ONLY.get(name, MACHINES)
        pins = resolve(wanted(name))
        path = FOLDER / f"{name}.txt"
        path.write_text(as_text(name, pins, hashes(pins, machines), machines), encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(pins)} packages")


if __name__ == "__main__":
    main()
