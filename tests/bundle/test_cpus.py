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
