"""The processors and the memory a process may use: its affinity, its container's limits and its own."""

import os
import resource
from pathlib import Path

import psutil
import pytest

from genrestack_common.resources import free_memory, usable_cpus, usable_memory

MIB = 2**20
HERE = len(os.sched_getaffinity(0))


def _version_2(cgroup: Path, text: str) -> Path:
    (cgroup / "cpu.max").write_text(text)
    return cgroup


def _version_1(cgroup: Path, quota: str, period: str) -> Path:
    (cgroup / "cpu").mkdir()
    (cgroup / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (cgroup / "cpu" / "cpu.cfs_period_us").write_text(period)
    return cgroup


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("max 100000\n", HERE),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("150000 100000\n", min(2, HERE)),
        ("6400000 100000\n", min(64, HERE)),
        ("0 100000\n", 1),
        ("", HERE),
        ("100000\n", HERE),
        ("100000 0\n", HERE),
        ("one two\n", HERE),
        ("nan 100000\n", HERE),
        ("inf 100000\n", HERE),
        ("é é\n", HERE),
    ],
)
def test_cgroup_version_2(tmp_path: Path, text: str, count: int) -> None:
    assert usable_cpus(_version_2(tmp_path, text)) == count


@pytest.mark.parametrize(
    ("quota", "period", "count"),
    [
        ("-1\n", "100000\n", HERE),
        ("100000\n", "100000\n", 1),
        ("150000\n", "100000\n", min(2, HERE)),
        ("10\n", "0\n", HERE),
        ("", "", HERE),
    ],
)
def test_cgroup_version_1(tmp_path: Path, quota: str, period: str, count: int) -> None:
    assert usable_cpus(_version_1(tmp_path, quota, period)) == count


def test_version_2_wins(tmp_path: Path) -> None:
    _version_1(tmp_path, "6400000", "100000")
    assert usable_cpus(_version_2(tmp_path, "100000 100000")) == 1


def test_no_cgroup(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "gone") == HERE


def test_affinity() -> None:
    """Pinned to one processor, one is what there is."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


def _member(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "membership"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def _group(mount: Path, path: str, *limits: str) -> None:
    """Make a group of version 2 (`cpu.max`) or 1 (quota and period)."""
    folder = mount / path
    folder.mkdir(parents=True, exist_ok=True)
    names = ["cpu.max"] if len(limits) == 1 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
    for name, text in zip(names, limits, strict=True):
        (folder / name).write_text(text)


MANY = pytest.mark.skipif(HERE < 2, reason="needs two processors")


@MANY
@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"pod": "max 100000", "pod/box": "100000 100000"}, 1),
        ({"pod": "100000 100000", "pod/box": "max 100000"}, 1),
        ({"pod": "150000 100000", "pod/box": "100000 100000"}, 1),
        ({"pod": "100000 100000", "pod/box": "150000 100000"}, 1),
        ({"": "100000 100000", "pod": "max 100000", "pod/box": "max 100000"}, 1),
        ({"pod": "max 100000", "pod/box": "max 100000"}, HERE),
        ({"pod": "max 100000", "pod/box/below": "100000 100000"}, HERE),
        ({"other": "100000 100000", "pod/box": "max 100000"}, HERE),
        ({"pod": "broken", "pod/box": "100000 100000"}, 1),
    ],
)
def test_nested_groups_of_version_2(limits: dict[str, str], count: int, tmp_path: Path) -> None:
    for path, text in limits.items():
        _group(tmp_path / "fs", path, text)
    assert usable_cpus(tmp_path / "fs", _member(tmp_path, "0::/pod/box")) == count


@MANY
@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_nested_groups_of_version_1(mount: str, tmp_path: Path) -> None:
    member = _member(tmp_path, "12:memory:/elsewhere", "4:cpu,cpuacct:/pod/box", "1:name=systemd:/x", "0::/")
    _group(tmp_path / "fs" / mount, "pod/box", "-1", "100000")
    assert usable_cpus(tmp_path / "fs", member) == HERE
    _group(tmp_path / "fs" / mount, "elsewhere", "50000", "100000")
    assert usable_cpus(tmp_path / "fs", member) == HERE
    _group(tmp_path / "fs" / mount, "pod", "50000", "100000")
    assert usable_cpus(tmp_path / "fs", member) == 1


@MANY
def test_both_versions_at_once(tmp_path: Path) -> None:
    member = _member(tmp_path, "4:cpu:/a", "0::/b")
    _group(tmp_path / "fs" / "cpu", "a", "-1", "100000")
    _group(tmp_path / "fs" / "unified", "b", "max 100000")
    assert usable_cpus(tmp_path / "fs", member) == HERE
    _group(tmp_path / "fs" / "unified", "b", "10000 100000")
    assert usable_cpus(tmp_path / "fs", member) == 1


@MANY
@pytest.mark.parametrize("line", ["0::/docker/abc", "0::/../../outer", "0::/../abc", "0::", "nonsense", ""])
def test_a_container_sees_its_own_group_as_the_root(line: str, tmp_path: Path) -> None:
    """The path is the host's, or leads above the mount; what is mounted is the container's own group."""
    _group(tmp_path / "fs", "", "100000 100000")
    assert usable_cpus(tmp_path / "fs", _member(tmp_path, line)) == 1


def test_no_membership(tmp_path: Path) -> None:
    _group(tmp_path / "fs", "", "100000 100000")
    assert usable_cpus(tmp_path / "fs", tmp_path / "gone") == 1


def _memory_group(tmp_path: Path, **files: str) -> tuple[Path, Path]:
    member = tmp_path / "membership"
    member.write_text("0::/pod/box\n")
    folder = tmp_path / "fs" / "pod"
    (folder / "box").mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return tmp_path / "fs", member


def _memory_group_of_version_1(tmp_path: Path, limit: str) -> tuple[Path, Path]:
    member = tmp_path / "membership"
    member.write_text("5:memory:/pod\n4:cpu,cpuacct:/other\n")
    folder = tmp_path / "fs" / "memory" / "pod"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(limit)
    return tmp_path / "fs", member


@pytest.mark.parametrize(
    ("text", "limit"),
    [(f"{300 * MIB}\n", 300 * MIB), ("max\n", None), ("", None), ("nonsense\n", None)],
    ids=["300MiB", "max", "empty", "nonsense"],
)
def test_memory_of_memory_group(tmp_path: Path, text: str, limit: int | None) -> None:
    cgroup = _memory_group(tmp_path, memory_max=text)
    assert usable_memory(*cgroup, meminfo=tmp_path / "none") == limit


@pytest.mark.parametrize(("text", "limit"), [(f"{64 * MIB}\n", 64 * MIB), ("9223372036854771712\n", 2 * 1024 * MIB)])
def test_memory_of_version_1_and_of_the_machine(tmp_path: Path, text: str, limit: int) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemFree: 1 kB\nMemTotal:        2097152 kB\n")
    assert usable_memory(*_memory_group_of_version_1(tmp_path, text), meminfo=meminfo) == limit


def test_this_machine_has_memory() -> None:
    assert (usable_memory() or 0) > 100 * MIB


def test_free_memory_is_what_the_tightest_group_leaves(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder, limit, used in ((tmp_path / "outer", "1000", "400"), (inner, "max", "100")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 5\ninactive_file 50\n")
    assert free_memory(tmp_path, _member(tmp_path, "0::/outer/inner")) == 650
    # In a container its own group may be seen as the root, whatever the path says.
    assert free_memory(tmp_path / "outer", _member(tmp_path, "0::/not/seen/in/here")) == 650


def test_free_memory_of_version_1(tmp_path: Path) -> None:
    group = tmp_path / "memory" / "pod"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("300\n")
    member = _member(tmp_path, "5:memory:/pod", "4:cpu,cpuacct:/other")
    assert free_memory(tmp_path, member) == 700
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert free_memory(tmp_path, member) > 700


def test_free_memory_is_within_the_limit_of_the_process() -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 100 * MIB, limits[1]))
    try:
        assert 0 < free_memory() <= 100 * MIB
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
