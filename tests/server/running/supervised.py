"""`genrestack serve --workers` in processes of its own, with a supervisor that loses patience sooner."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
from support.waiting import until

from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_PROGRAM = """
import json, sys
from pathlib import Path
from genrestack_server.telemetry import log_setup
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import StartError
from genrestack_server.process.runner import run
from genrestack_server.process.supervisor import RestartPolicy, supervise
options, patience = map(json.loads, sys.argv[1:])
options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
config = ServerConfig(**{**options, "models_dir": Path(options["models_dir"])})
log_setup.configure("info")
def announce(lines):
    print(*lines, sep="\\n")
    print("done", flush=True)
try:
    status = supervise(config, announce, RestartPolicy(**patience)) if config.workers > 1 else run(config, announce)
except StartError as error:
    print(f"Error: {error}", file=sys.stderr)
    status = 2
heavy = {"grpc", "onnxruntime", "onnx", "numpy"} & set(sys.modules)
assert config.workers == 1 or not heavy, heavy
sys.exit(status)
"""


@dataclass
class Supervised:
    """A supervisor and its workers."""

    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        found = re.search(r" on \S+:(\d+) ", self.said[0])
        assert found, self.said
        return int(found[1])

    @property
    def metrics_url(self) -> str:
        return self.said[-1].removeprefix("metrics on ")

    def workers(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def connect(self) -> grpc.Channel:
        """Make a connection of its own: channels to one address would otherwise share theirs."""
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", [("grpc.use_local_subchannel_pool", 1)])

    def stub(self) -> PredictionServiceStub:
        return PredictionServiceStub(self.connect())

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a family's samples that have these labels."""
        return sum(value for sample, has, value in self.samples() if sample == name and labels.items() <= has.items())

    def samples(self) -> list[tuple[str, dict[str, str], float]]:
        from prometheus_client.parser import text_string_to_metric_families

        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was logged."""
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, log


@contextmanager
def supervised(
    models_dir: Path,
    patience: dict[str, float] | None = None,
    env: dict[str, str] | None = None,
    *,
    waits: bool = True,
    **options: Any,
) -> Iterator[Supervised]:
    """Start; what it said when it served is in `said`, which is empty if it does not. Nothing is left of it after.

    With `waits` false it is yielded before it serves.
    """
    settings = {"models_dir": str(models_dir), "port": 0, "workers": 2, "grace": 10, "metrics_port": 0, **options}
    arguments = [json.dumps(settings), json.dumps(patience or {})]
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert process.stdout is not None
    running = Supervised(process)
    children: set[int] = set()
    try:
        while waits and (line := process.stdout.readline().strip()) not in {"", "done"}:
            running.said.append(line)
        yield running
    finally:
        if process.poll() is None:
            children = running.workers()
            process.kill()
        process.communicate(timeout=30)
        until(lambda: not any(map(psutil.pid_exists, children)), "the workers outlive their supervisor")


def send(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
