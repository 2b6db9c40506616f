"""How many processors this process may really use."""

import math
import os
from pathlib import Path

from genrestack_bundle.cgroups import CGROUP, MEMBERSHIP, groups, text

# Where version 1's controller is mounted: on its own, or with another one, in either order.
_V1_MOUNTS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")


def usable_cpus(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """Count the CPUs of this process: its affinity, bounded by the quotas of its cgroups, at least 1.

    Args:
        cgroup: where cgroups are mounted.
        membership: the file that names the process's own groups.

    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folders = groups("cpu", _V1_MOUNTS, cgroup, membership)
    quotas = [quota for folder in folders if (quota := _quota(folder)) is not None]
    return max(1, min(count, math.ceil(min(quotas, default=count))))


def _quota(folder: Path) -> float | None:
    """Read a group's quota in CPUs, of either version; None where it has none."""
    version_2 = text(folder / "cpu.max").split()
    limit, period = version_2 if len(version_2) == 2 else (
        text(folder / "cpu.cfs_quota_us").strip(), text(folder / "cpu.cfs_period_us").strip()
    )  # fmt: skip
    try:
        return None if limit in {"max", "-1"} else int(limit) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
