"""How many processors this process may really use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
# Where version 1's controller is mounted: on its own, or with another one, in either order.
_V1_MOUNTS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")


def usable_cpus(cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> int:
    """Count the CPUs of this process: its affinity, bounded by the quotas of its cgroups, at least 1.

    Every group from the process's own up to the root may have a quota, and the smallest holds: a container's limit is
    often set above the group that its processes are in. Versions 1 and 2 are both looked at, as hosts mix them.

    Args:
        cgroup: where cgroups are mounted.
        membership: the file that names the process's own groups.

    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _groups(cgroup, membership) if (quota := _quota(folder)) is not None]
    return max(1, min(count, math.ceil(min(quotas, default=count))))


def _groups(cgroup: Path, membership: Path) -> Iterator[Path]:
    """Name the folders of this process's groups and of all above them; some may not exist."""
    version_1, version_2 = _own_groups(membership)
    yield from _upwards(cgroup, version_2)
    # Beside version 1, version 2 is mounted in a folder of its own.
    yield from _upwards(cgroup / "unified", version_2)
    for mount in _V1_MOUNTS:
        yield from _upwards(cgroup / mount, version_1)


def _upwards(mount: Path, group: PurePosixPath) -> Iterator[Path]:
    """Go from a group up to its mount; inside a container the group's host path may not exist, its mount does."""
    for part in (group, *group.parents):
        yield mount / part.relative_to("/")


def _own_groups(membership: Path) -> tuple[PurePosixPath, PurePosixPath]:
    """Read the groups of version 1's cpu controller and of version 2; the root where there is none."""
    found = {"cpu": "/", "": "/"}
    for line in _text(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            if controller in found and path.startswith("/"):
                found[controller] = path
    return _plain(found["cpu"]), _plain(found[""])


def _plain(path: str) -> PurePosixPath:
    """Drop what leads above the mount: a cgroup namespace shows groups outside it as `/../…`."""
    return PurePosixPath("/", *(part for part in PurePosixPath(path).parts if part not in {"/", ".."}))


def _quota(folder: Path) -> float | None:
    """Read a group's quota in CPUs, of either version; None where it has none."""
    version_2 = _text(folder / "cpu.max").split()
    limit, period = version_2 if len(version_2) == 2 else (
        _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
    )  # fmt: skip
    try:
        return None if limit in {"max", "-1"} else int(limit) / int(period)
    except (ValueError, ZeroDivisionError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
