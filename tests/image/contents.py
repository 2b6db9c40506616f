"""What an image holds, and what it must not hold."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from image.building import ROOT
from image.engine import Engine, Failed, parsed
from image.registry import Registry

OURS: Final = "opt/genrestack"
MADE: Final = {OURS, "opt", "models"}
_PIN: Final = re.compile(r"^([a-z0-9-]+)==(\S+) \\$", re.MULTILINE)
_LABELS: Final = "org.opencontainers.image."


def check_config(config: Any) -> None:
    """Hold the image's settings against what the documentation promises."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        "User": "10001:10001",
        "Entrypoint": ["genrestack"],
        "Cmd": ["serve", "/models"],
        "WorkingDir": "/models",
    }
    for name, value in wanted.items():
        expect(config["Config"].get(name) == value, f"{name} is {config['Config'].get(name)}, not {value}")
    labels = config["Labels"]
    expect(labels[f"{_LABELS}version"] == project["version"], "the label of the version is not the project's")
    expect(labels[f"{_LABELS}licenses"] == project["license"], "the label of the licence is not the project's")
    expect("ORT_DISABLE_TELEMETRY=1" in config["Config"]["Env"], "onnxruntime's telemetry is not off")
    expect(config["Healthcheck"]["Test"] == ["CMD", "genrestack", "health"], "the health check is another one")


def check_files(engine: Engine, image: str, base: str, registry: Registry) -> None:
    """Look at every file that the image adds to its base."""
    root, below = (Path(engine.podman("image", "mount", each)) for each in (image, base))
    other = set(_outside(root)) ^ set(_outside(below))
    expect(not other, f"the image adds or changes files outside of /{OURS}: {sorted(other)[:10]}")
    check_packages(root / OURS)
    traces = [trace.encode() for trace in registry.traces()]
    for path in _files(root / OURS):
        content = path.read_bytes()
        found = [trace.decode() for trace in traces if trace in content]
        expect(not found, f"{path.relative_to(root)} tells where packages came from: {found}")


def check_native(engine: Engine, image: str) -> None:
    """Find the native operators' library, compiled in a stage that the image does not keep."""
    found = list((Path(engine.podman("image", "mount", image)) / OURS).glob("lib/python*/site-packages/**/*_native.so"))
    expect(len(found) == 1, f"the image has {len(found)} libraries of native operators, not 1")


def check_packages(folder: Path) -> None:
    """Find the packages of the requirements file, the project's own, and nothing else."""
    listed = _PIN.findall((ROOT / "deploy" / "requirements" / "server-cpu.txt").read_text(encoding="utf-8"))
    wanted = {*listed, ("genrestack", _version())}
    found = {_named(path) for path in folder.glob("lib/python*/site-packages/*.dist-info")}
    expect(found == wanted, f"installed and required differ: {sorted(found ^ wanted)}")
    others = {path.name for path in folder.glob("lib/python*/site-packages/pip*")}
    expect(not others, f"the image has an installer: {others}")


def check_history(engine: Engine, image: str, registry: Registry) -> None:
    """Look for this machine's settings in what the image remembers of its build."""
    text = engine.podman("image", "inspect", image) + engine.podman("image", "history", "--no-trunc", image)
    found = [trace for trace in registry.traces() if trace in text]
    expect(not found, f"the image's history tells where packages came from: {found}")


def config_of(engine: Engine, image: str) -> Any:
    """Return an image's settings."""
    return parsed(engine.podman("image", "inspect", image))


def expect(holds: object, otherwise: str) -> None:
    """Fail, saying why."""
    if not holds:
        raise Failed(otherwise)


def _outside(root: Path) -> Iterator[tuple[str, int, int, int]]:
    """Name what lies outside of our folder, with its mode, owner and size."""
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name in MADE or name.startswith(f"{OURS}/"):
            continue
        facts = path.lstat()
        yield name, facts.st_mode, facts.st_uid, 0 if path.is_dir() else facts.st_size


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _named(info: Path) -> tuple[str, str]:
    name, _, version = info.name.removesuffix(".dist-info").partition("-")
    return re.sub(r"[-_.]+", "-", name).lower(), version


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
