"""`genrestack serve` as a process: started, watched from outside, and certainly ended."""

import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from prometheus_client.parser import text_string_to_metric_families
from support.waiting import GUARD_S, until


@dataclass
class Served:
    """A server process and what it wrote."""

    process: "subprocess.Popen[bytes]"
    output: Path
    errors: Path

    @property
    def port(self) -> int:
        found = re.search(r" on \S+:(\d+)\s", self.said())
        assert found, self.said() + self.log()
        return int(found[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def log(self) -> str:
        return self.errors.read_text(encoding="utf-8")

    def workers(self) -> list[psutil.Process]:
        """The processes that serve: children of a supervisor, or the server itself."""
        return psutil.Process(self.process.pid).children() or [psutil.Process(self.process.pid)]

    def memory(self) -> int:
        """Resident bytes of all processes that serve."""
        return sum(worker.memory_info().rss for worker in self.workers())

    def connect(self) -> grpc.Channel:
        """Make a connection of its own: channels to one address would otherwise share theirs."""
        return grpc.insecure_channel(self.address, OWN_CONNECTION)

    def stop(self) -> int:
        """Ask the server to stop; give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GUARD_S)

    @property
    def metrics_url(self) -> str:
        # Said in a line of its own, after the one that says what is served.
        until(lambda: "/metrics" in self.said() or self.process.poll() is not None, "it has no metrics")
        found = re.search(r"http://\S+/metrics", self.said())
        assert found, self.said()
        return found[0]

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


OWN_CONNECTION = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]
# Its window stays as it begins. gRPC otherwise widens it by what the connection could carry, tens of megabytes on a
# quick day, and a client that never reads would then have taken that much.
NARROW_CONNECTION = [*OWN_CONNECTION, ("grpc.http2.bdp_probe", 0)]


@contextmanager
def served(models_dir: Path, *options: str) -> Iterator[Served]:
    """Serve for the length of the block; wait until it announces itself."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        program = str(Path(sys.executable).parent / "genrestack")
        command = [program, "serve", str(models_dir), "--port", "0", "--threads", "1"]
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen([*command, *options], stdout=out, stderr=err)
        running = Served(process, output, errors)
        try:
            until(lambda: " on " in running.said() or process.poll() is not None, "it does not start")
            until(lambda: running.said().endswith("\n"), "it does not finish its sentence")
            yield running
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    family: Sequence[psutil.Process] = []
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    process.wait(30)
    for child in family:
        if child.is_running():
            child.kill()
    psutil.wait_procs(family, timeout=GUARD_S)
