"""What the machine does to a server: its clock jumps, and its memory is used up."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from hard.callers.steady import Expected, Load
from hard.served import Served, served
from server.bundles.tiny import draw_rows
from support.tools import need
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

Say = Callable[[str], None]

# A wall clock that is wrong by as many seconds as a file says.
_CLOCK = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long wrong(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("WRONG_CLOCK"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t id, struct timespec *at) {
    int status = syscall(SYS_clock_gettime, id, at);
    if (!status && id == CLOCK_REALTIME) at->tv_sec += wrong();
    return status;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return status;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the wall clock of processes started from now on wrong by a number of seconds."""
    compiler = shutil.which("cc")
    need(compiler, "a C compiler")
    source, library, wrong = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "wrong"
    source.write_text(_CLOCK)
    subprocess.run([str(compiler), "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("WRONG_CLOCK", str(wrong))

    def jump(seconds: int) -> None:
        aside = wrong.with_suffix(".aside")
        aside.write_text(str(seconds))
        aside.rename(wrong)

    jump(0)
    return jump


CALLERS = 8
JUMPS = (0.1, -0.1, 730, -730, 0)
"""Days."""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clock_that_jumps_changes_nothing(
    repository: Path, expected: Expected, clock: Callable[[int], None], workers: int, say: Say
) -> None:
    options = ("--workers", str(workers), "--metrics-port", "0", "--log-format", "json", "--log-sample", "1")
    with served(repository, *options) as server:
        before = {worker.pid for worker in server.workers()}
        with Load(server.connect, expected, callers=CALLERS) as load:
            for days in JUMPS:
                load.wait_for(50)
                clock(int(days * 86_400))
            load.wait_for(50)
        # A heartbeat or a poll of the repository that went by the clock would be overdue by now.
        assert {worker.pid for worker in server.workers()} == before
        assert server.metric("genrestack_worker_restarts_total") == 0
        assert server.stop() == 0
        years = {int(year) for year in re.findall(r'"time": "(\d+)-', server.log())}
    assert max(years) - min(years) >= 3, "the clock did not jump"
    # gRPC tells a deadline as a moment of the wall clock: a call that arrives just before it jumps may find it passed.
    load.tally.check("DEADLINE_EXCEEDED")
    assert load.tally.refused.total() <= len(JUMPS) * CALLERS, load.tally.line()
    say(f"clock of {workers} process(es) set on and back by up to two years: {load.tally.line()}")


def test_a_worker_whose_memory_is_used_up_is_replaced(repository: Path, expected: Expected, say: Say) -> None:
    with served(repository, "--workers", "2", "--metrics-port", "0") as server, memory_limit() as limited:
        (victim, other) = server.workers()
        with Load(server.connect, expected) as load:
            load.wait_for(50)
            limited(victim.pid)
            # What it takes from now on counts: a request of some megabytes is more than it may have.
            until(lambda: _replaced(server, victim.pid), "the worker is not replaced")
            load.wait_for(50)
        assert other.is_running()
        assert "was killed by SIGKILL, as the kernel does where memory" in server.log()
    load.tally.check("UNAVAILABLE")
    say(f"one of two workers out of memory: {load.tally.line()}")


def _replaced(server: Served, gone: int) -> bool:
    """Ask for more than the worker has memory for; tell whether there is another one."""
    rows = PredictRequest(rows=to_matrix(draw_rows(60_000)))
    with server.connect() as channel, suppress(grpc.RpcError):
        PredictionServiceStub(channel).Predict(rows, timeout=30)
    workers = {worker.pid for worker in server.workers()}
    return gone not in workers and server.metric("genrestack_workers_serving") == 2


@contextmanager
def memory_limit() -> Iterator[Callable[[int], None]]:
    """Make a control group in which a process gets a megabyte more than it has, and put processes into it."""
    name = f"genrestack-test-{os.getpid()}"
    group = _group(Path("/sys/fs/cgroup/memory", name), "memory.limit_in_bytes")
    group = group or _group(Path("/sys/fs/cgroup", name), "memory.max")
    need(group, "the right to make a control group with a limit of memory")
    assert group is not None
    processes = group / "cgroup.procs"

    def limit(pid: int) -> None:
        processes.write_text(str(pid))

    try:
        yield limit
    finally:
        until(lambda: not processes.read_text(), "a limited process is left")
        group.rmdir()


def _group(folder: Path, limit: str) -> Path | None:
    with suppress(OSError):
        folder.mkdir()
        if (folder / limit).exists():
            (folder / limit).write_text(str(2**20))
            return folder
        folder.rmdir()
    return None
