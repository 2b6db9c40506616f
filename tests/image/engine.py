"""buildah and podman with everything of theirs in one folder, which is removed at the end."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STORAGE = """[storage]
driver = "{driver}"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
# No systemd, no journal, no locks shared with other containers of this machine.
CONTAINERS = """[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
static_dir = "{folder}/libpod"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"
"""


class Failed(Exception):
    """The image does not do what it should."""


@dataclass(frozen=True)
class Engine:
    """Where images are built and containers run."""

    folder: Path

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah; give what it printed."""
        return self.run("buildah", *arguments)

    def podman(self, *arguments: str | Path, check: bool = True) -> str:
        """Run podman; give what it printed."""
        return self.run("podman", *arguments, check=check)

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run any command in the engine's surroundings; give what it printed."""
        done = subprocess.run(command, env=self.environment(), check=False, capture_output=True, text=True)
        if check and done.returncode:
            said = f"{done.stdout}\n{done.stderr}".strip()
            raise Failed(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{said[-4000:]}")
        return done.stdout.strip()

    def environment(self) -> dict[str, str]:
        """Return the variables by which both find their settings here."""
        return {
            **os.environ,
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            # Health checks are run when we ask; podman would have systemd run them.
            "DISABLE_HC_SYSTEMD": "true",
            "TMPDIR": str(self.folder / "work"),
        }

    def end(self) -> None:
        """Remove every container with its mounts."""
        self.podman("rm", "--all", "--force", "--time", "0", check=False)
        self.podman("image", "umount", "--all", "--force", check=False)
        self.run("buildah", "rm", "--all", check=False)


@contextmanager
def engine() -> Iterator[Engine]:
    """Make an engine; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="genrestack-image-", dir="/var/tmp"))
    try:
        (folder / "work").mkdir()
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder, driver=_driver(folder)), encoding="utf-8")
        (folder / "containers.conf").write_text(CONTAINERS.format(folder=folder), encoding="utf-8")
        made = Engine(folder)
        try:
            yield made
        finally:
            made.end()
    finally:
        _unmount(folder)
        _forget_groups(folder.name)
        shutil.rmtree(folder)


def _driver(folder: Path) -> str:
    """Choose how layers are kept: by overlay where the kernel lets us, else each as a copy of everything below it."""
    lower, upper, work, merged = places = [folder / "work" / name for name in ("lower", "upper", "work", "merged")]
    for place in places:
        place.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    tried = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, merged], check=False, capture_output=True
    )
    if tried.returncode == 0:
        subprocess.run(["umount", merged], check=True)
    return "vfs" if tried.returncode else "overlay"


def _unmount(folder: Path) -> None:
    """Let go what a killed container left mounted, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((each for each in mounts if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)


def _forget_groups(name: str) -> None:
    """Remove the control groups that podman made and leaves; version 1 has a tree of them for each resource."""
    root = Path("/sys/fs/cgroup")
    for group in [*root.glob(name), *root.glob(f"*/{name}")]:
        below = [path for path in group.rglob("*") if path.is_dir()]
        for path in [*sorted(below, reverse=True), group]:
            with suppress(OSError):
                path.rmdir()


def parsed(said: str) -> Any:
    """Read what `inspect` printed of one thing."""
    (only,) = json.loads(said)
    return only
