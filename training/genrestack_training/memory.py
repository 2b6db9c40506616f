"""How much memory a table may take, asked before it is read: what is free, and no more than this process may have."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from genrestack_training.errors import TableError

VALUE_BYTES: Final = 64
"""Of each value of a table: 8 in the matrix, and in each copy that reading, splitting, scaling and fitting make."""
TEXT_BYTES: Final = 3
"""Of each byte of a table's text: what a parser may hold at once."""
_GROUPS: Final = Path("/sys/fs/cgroup")
# A group without a limit says so with a number that no machine has.
_ENDLESS: Final = 2**60


def check_fits(what: str, size: int, remedy: str) -> None:
    """Refuse what cannot be held.

    Args:
        what: names it, with its numbers.
        size: bytes that it takes.
        remedy: what to do, for a person.

    Raises:
        TableError: the memory is not there.

    """
    free = free_memory()
    if size > free:
        raise TableError(f"{what}, which takes about {_shown(size)} of memory, and {_shown(free)} are free; {remedy}")


def free_memory() -> int:
    """Tell how many bytes this process may still take: the least of the machine, its control groups and its limits."""
    return max(0, min([*_of_the_machine(), *_of_the_groups(), *_of_the_process()]))


def _of_the_machine() -> Iterator[int]:
    facts = _numbers(Path("/proc/meminfo"), ":")
    if "MemAvailable" in facts:
        yield 1024 * facts["MemAvailable"]
    else:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_the_groups() -> Iterator[int]:
    """Give what each control group around this process has left, of version 1 and 2."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _left(_GROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(_GROUPS / "memory", path, *names)


def _left(root: Path, path: str, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    # In a container its own group may be seen as the root, whatever the path says.
    inside = root / path.strip("/")
    for folder in (inside, *inside.parents):
        if folder.is_relative_to(root):
            most, taken = _number(folder / limit), _number(folder / used)
            if most is not None and taken is not None and most < _ENDLESS:
                # Cached files are given up for memory that is asked for.
                yield most - taken + _numbers(folder / "memory.stat", " ").get(reclaimable, 0)


def _of_the_process() -> Iterator[int]:
    facts = _numbers(Path("/proc/self/status"), ":")
    for kind, taken in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(kind)[0]
        if most != resource.RLIM_INFINITY:
            yield most - 1024 * facts.get(taken, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _numbers(path: Path, mark: str) -> dict[str, int]:
    """Read lines such as `MemAvailable:  123 kB`."""
    pairs = (line.partition(mark) for line in _lines(path))
    found = ((name, rest.split()) for name, _, rest in pairs)
    return {name: int(words[0]) for name, words in found if words and words[0].isdecimal()}


def _shown(size: int) -> str:
    for unit, factor in (("TB", 10**12), ("GB", 10**9)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 10**6:,.0f} MB"
