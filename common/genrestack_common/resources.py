"""How many processors and how much memory this process may really use: the machine's, bounded by its control groups."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from genrestack_common.control_groups import CGROUP, MEMBERSHIP, groups, text

_MEMINFO: Final = Path("/proc/meminfo")
_KIB: Final = 1024
# Where version 1's controllers are mounted: on their own, or with another one, in either order.
_CPU_MOUNTS: Final = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
_MEMORY_MOUNTS: Final = ("memory",)
# A group of version 1 without a limit says so with a number that no machine has.
_ENDLESS: Final = 2**60
_MEMORY_FILES: Final = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of version 2 and 1: a group's limit, what it has taken, and what of that the kernel would give up."""


def usable_cpus(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """Count the CPUs of this process: its affinity, bounded by the quotas of its control groups, at least 1.

    Args:
        cgroup: where control groups are mounted.
        membership: the file that names the process's own groups.

    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folders = groups("cpu", _CPU_MOUNTS, cgroup, membership)
    quotas = [quota for folder in folders if (quota := _quota(folder)) is not None]
    return max(1, min(count, math.ceil(min(quotas, default=count))))


def usable_memory(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP, meminfo: Path = _MEMINFO) -> int | None:
    """Return the bytes this process may have: the machine's, bounded by its control groups; None where nothing says it.

    Args:
        cgroup: where control groups are mounted.
        membership: the file that names the process's own groups.
        meminfo: the file that says what the machine has.

    """
    limits = [limit for folder in groups("memory", _MEMORY_MOUNTS, cgroup, membership) for limit in _limits(folder)]
    total = _numbers(meminfo, ":").get("MemTotal")
    return min([*limits, *([] if total is None else [total * _KIB])], default=None)


def free_memory(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """Return the bytes this process may still take: the least of the machine, its control groups and its own limits.

    Args:
        cgroup: where control groups are mounted.
        membership: the file that names the process's own groups.

    """
    left = (each for folder in groups("memory", _MEMORY_MOUNTS, cgroup, membership) for each in _left(folder))
    return max(0, min([_free_on_machine(), *left, *_left_to_process()]))


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


def _limits(folder: Path) -> list[int]:
    """Read a group's limit, of either version; version 1 writes a huge number for none."""
    return [limit for name, _, _ in _MEMORY_FILES if (limit := _number(folder / name)) is not None]


def _left(folder: Path) -> Iterator[int]:
    """Yield what a group of either version has left, if it has a limit."""
    for limit, used, reclaimable in _MEMORY_FILES:
        most, taken = _number(folder / limit), _number(folder / used)
        if most is not None and taken is not None and most < _ENDLESS:
            # Cached files are given up for memory that is asked for.
            yield most - taken + _numbers(folder / "memory.stat", " ").get(reclaimable, 0)


def _free_on_machine() -> int:
    available = _numbers(_MEMINFO, ":").get("MemAvailable")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if available is None else available * _KIB


def _left_to_process() -> Iterator[int]:
    import resource

    facts = _numbers(Path("/proc/self/status"), ":")
    for kind, taken in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(kind)[0]
        if most != resource.RLIM_INFINITY:
            yield most - _KIB * facts.get(taken, 0)


def _number(path: Path) -> int | None:
    found = text(path).strip()
    return int(found) if found.isdecimal() else None


def _numbers(path: Path, mark: str) -> dict[str, int]:
    """Read lines such as `MemAvailable:  123 kB`."""
    pairs = (line.partition(mark) for line in text(path).splitlines())
    found = ((name, rest.split()) for name, _, rest in pairs)
    return {name: int(words[0]) for name, words in found if words and words[0].isdecimal()}
