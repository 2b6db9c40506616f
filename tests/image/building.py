"""The base image and the image under test, built."""

from pathlib import Path
from typing import Final

from image.engine import Engine, parsed
from image.registry import Registry

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = "localhost/genrestack-base"
COMPILER: Final = "localhost/genrestack-compiler"
SERVER: Final = "localhost/genrestack-server"
SUITE: Final = "bookworm"
PYTHON: Final = "python3,python3-venv"
C_COMPILER: Final = "python3,gcc,libc6-dev"
# Lists and archives of packages, logs, manuals and translations: a base image has none.
NEEDLESS: Final = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)


def build_base(engine: Engine, name: str = BASE, packages: str = PYTHON) -> str:
    """Make a Debian with these packages alone, and an image of it; give the image's name."""
    container = engine.buildah("from", "scratch")
    root = Path(engine.buildah("mount", container))
    engine.run("debootstrap", "--variant=minbase", f"--include={packages}", SUITE, root)
    engine.run("find", *(root / name for name in NEEDLESS), "-type", "f", "-delete")
    engine.buildah("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
    engine.buildah("commit", "--quiet", "--rm", container, name)
    return name


def build(engine: Engine, base: str, registry: Registry, target: str = "server", compiler: str | None = None) -> str:
    """Build a target of the Dockerfile; what it is told of this machine is for the build alone. Give its name.

    `compiler` is an image with a C compiler; without one, the image has no native operators.
    """
    name = f"localhost/genrestack-{target}"
    given: list[str | Path] = ["--secret", f"id=pip,src={_written(engine, registry)}"]
    if registry.certificates:
        given += ["--secret", f"id=ca,src={registry.certificates}"]
    for path in registry.local():
        given += ["--volume", f"{path}:{path}:ro"]
    # Docker's format has health checks; OCI's has not.
    given += ["--build-arg", f"BASE={base}", "--build-arg", f"COMPILER={compiler or base}"]
    engine.buildah("build", "--format", "docker", "--target", target, "--tag", name, *given, ROOT)
    return name


def size(engine: Engine, image: str) -> int:
    """Return the bytes of an image's files, its base's included."""
    return int(parsed(engine.podman("image", "inspect", image))["Size"])


def _written(engine: Engine, registry: Registry) -> Path:
    path = engine.folder / "pip.conf"
    path.write_text(registry.pip_conf(), encoding="utf-8")
    return path
