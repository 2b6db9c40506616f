"""The processors a process may use: its affinity and its container's quota."""

import os
from pathlib import Path

import pytest

from genrestack_bundle import usable_cpus

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
