"""How much memory this process may really use."""

from pathlib import Path

from genrestack_bundle.cgroups import CGROUP, MEMBERSHIP, groups, text

_MEMINFO = Path("/proc/meminfo")
_KIB = 1024


def usable_memory(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP, meminfo: Path = _MEMINFO) -> int | None:
    """Give the bytes this process may have: the machine's, bounded by its cgroups; None where nothing says it.

    Args:
        cgroup: where cgroups are mounted.
        membership: the file that names the process's own groups.
        meminfo: the file that says what the machine has.

    """
    limits = [limit for folder in groups("memory", ("memory",), cgroup, membership) for limit in _limits(folder)]
    return min([*_of_machine(meminfo), *limits], default=None)


def _limits(folder: Path) -> list[int]:
    """Read a group's limit, of either version; version 1 writes a huge number for none."""
    lines = [text(folder / name).strip() for name in ("memory.max", "memory.limit_in_bytes")]
    return [int(line) for line in lines if line.isdigit()]


def _of_machine(meminfo: Path) -> list[int]:
    for line in text(meminfo).splitlines():
        name, _, amount = line.partition(":")
        if name == "MemTotal":
            return [int(amount.split()[0]) * _KIB]
    return []
