"""Servers as processes of their own, and how to reach them."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.contestants.contest import ROOT

_MIB = 2**20
_LIMITS = [("grpc.max_receive_message_length", 64 * _MIB), ("grpc.max_send_message_length", 64 * _MIB)]
_PATIENCE = 60.0
_POLL = 0.005


@dataclass(frozen=True)
class Serving:
    """A server that says SERVING."""

    port: int
    start_seconds: float
    """From the start of the process until its health said SERVING."""
    process_id: int
    http_port: int | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def memory_mb(self) -> float:
        """Resident memory now, in units of 10⁶ bytes."""
        status = Path(f"/proc/{self.process_id}/status").read_text(encoding="utf-8")
        (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return 1024 * int(kib) / 1e6


@contextmanager
def genrestack_server(repository: Path, *, http: bool = False) -> Iterator[Serving]:
    """Run `genrestack serve` on a free port for the length of the block, and by HTTP too if asked to."""
    port, http_port = _free_port(), _free_port() if http else None
    command = [sys.executable, "-m", "genrestack", "serve", str(repository), "--port", str(port)]
    if http_port is not None:
        command += ["--http-port", str(http_port)]
    begun = time.perf_counter()
    with process([*command, "--provider", "cpu", "--log-level", "warning"]) as started:
        _wait_until_serving(port, started)
        yield Serving(port, time.perf_counter() - begun, started.pid, http_port)


@contextmanager
def echo_server(answer_bytes: int) -> Iterator[str]:
    """Run the echo server for the length of the block; gives its address."""
    with process([sys.executable, "-m", "benchmarks.serving.echo", str(answer_bytes)]) as started:
        assert started.stdout is not None
        yield f"127.0.0.1:{int(started.stdout.readline())}"


@contextmanager
def connected(address: str) -> Iterator[grpc.Channel]:
    """Open a channel for the length of the block."""
    with grpc.insecure_channel(address, _LIMITS) as channel:
        grpc.channel_ready_future(channel).result(_PATIENCE)
        yield channel


@contextmanager
def process(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a command for the length of the block, with pipes to and from it."""
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()


def _wait_until_serving(port: int, process: "subprocess.Popen[str]") -> None:
    """Ask the health service until it says SERVING; a channel opened too early would wait a second to try again."""
    end = time.monotonic() + _PATIENCE
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"genrestack serve does not listen (exit status {process.poll()}); see above")
        time.sleep(_POLL)
    with connected(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while health.Check(health_pb2.HealthCheckRequest()).status != health_pb2.HealthCheckResponse.SERVING:
            if time.monotonic() > end:
                raise RuntimeError("genrestack serve does not say SERVING; see above")
            time.sleep(_POLL)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
