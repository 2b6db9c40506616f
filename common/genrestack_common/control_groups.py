"""The control groups that this process is in, of both versions, as hosts mix them."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")


def groups(controller: str, mounts: Sequence[str], cgroup: Path, membership: Path) -> Iterator[Path]:
    """Name the folders of this process's groups and of all above them; some may not exist.

    Every group from the process's own up to the root may have a limit, and the smallest holds: a container's limit is
    often set above the group that its processes are in.

    Args:
        controller: version 1's name of what is limited.
        mounts: where version 1 mounts that controller.
        cgroup: where cgroups are mounted.
        membership: the file that names the process's own groups.

    """
    version_1, version_2 = _own_groups(controller, membership)
    yield from _upwards(cgroup, version_2)
    # Beside version 1, version 2 is mounted in a folder of its own.
    yield from _upwards(cgroup / "unified", version_2)
    for mount in mounts:
        yield from _upwards(cgroup / mount, version_1)


def text(path: Path) -> str:
    """Read a file of the kernel's; "" where it cannot be read."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _upwards(mount: Path, group: PurePosixPath) -> Iterator[Path]:
    """Yield a group and its parents up to its mount; a container may lack the group's host path, not its mount."""
    for part in (group, *group.parents):
        yield mount / part.relative_to("/")


def _own_groups(controller: str, membership: Path) -> tuple[PurePosixPath, PurePosixPath]:
    """Read the groups of version 1's controller and of version 2; the root where there is none."""
    found = {controller: "/", "": "/"}
    for line in text(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for each in controllers.split(","):
            if each in found and path.startswith("/"):
                found[each] = path
    return _plain(found[controller]), _plain(found[""])


def _plain(path: str) -> PurePosixPath:
    """Drop what leads above the mount: a cgroup namespace shows groups outside it as `/../…`."""
    return PurePosixPath("/", *(part for part in PurePosixPath(path).parts if part not in {"/", ".."}))
