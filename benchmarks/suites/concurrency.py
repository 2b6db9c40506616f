"""Many callers at once: 64 of them, a row each, against an echo and against the same server without batching."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.contestants.contest import ROOT
from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, bounded, reached, share
from benchmarks.serving.echo import METHOD
from benchmarks.serving.servers import connected, echo_server, process
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_CALLERS: Final = 64
_PREDICT: Final = "/genrestack.v1.PredictionService/Predict"
_ECHO, _ON, _OFF = "an echo RPC of the same size", "batching", "the same server with batching off"


@dataclass(frozen=True)
class _Observed:
    """A server that counts its executions."""

    address: str
    process: "subprocess.Popen[str]"

    def executions(self) -> dict[str, float]:
        """Ask it for its counts so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        counts: dict[str, float] = json.loads(self.process.stdout.readline())
        return counts


def many_callers(repository: Path, budget: Budget) -> tuple[Figure, ...]:
    """Let 64 callers call each server in turns, each caller waiting for its answer before it calls again."""
    row = open_only_bundle(repository).golden.rows[:1]
    request = PredictRequest(rows=to_matrix(row))
    with _observed(repository) as on, _observed(repository, "batching=false") as off:
        with connected(on.address) as channel:
            size = PredictionServiceStub(channel).Predict(request).ByteSize()
        with echo_server(size) as echo:
            addresses = {_ECHO: (echo, METHOD), _ON: (on.address, _PREDICT), _OFF: (off.address, _PREDICT)}
            before = on.executions()
            blocks = _measured(addresses, request.SerializeToString(), budget)
            after = on.executions()
    return _figures(blocks, {name: after[name] - before[name] for name in after})


def _figures(blocks: dict[str, list[dict[str, Any]]], counts: dict[str, float]) -> tuple[Figure, ...]:
    rates = {name: statistics.median(len(b["taken"]) / b["seconds"] for b in found) for name, found in blocks.items()}
    taken = sorted(1e3 * seconds for block in blocks[_ON] for seconds in block["taken"])
    p50, p99 = taken[len(taken) // 2], taken[int(0.99 * len(taken))]
    what = f"Predict, 1 row, {_CALLERS} callers"
    note = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; clients on the same cores"
    return (
        share(f"{what}, calls/s", rates[_ON], "calls/s", Baseline(_ECHO, rates[_ECHO]), least=0.75, note=note),
        bounded(f"{what}, p99 as a multiple of p50", p99 / p50, "", most=8),
        reached(f"{what}, rows an execution", counts["rows"] / counts["executions"], "rows", least=8),
        share(f"{what}, gain by batching", rates[_ON], "calls/s", Baseline(_OFF, rates[_OFF]), least=1.3),
    )


def _measured(addresses: dict[str, tuple[str, str]], request: bytes, budget: Budget) -> dict[str, list[dict[str, Any]]]:
    spec = {
        "callers": _CALLERS,
        "seconds": budget.many_callers_seconds,
        "rounds": budget.many_callers_rounds,
        "contestants": [
            {"name": name, "address": address, "method": method, "request": request.hex()}
            for name, (address, method) in addresses.items()
        ],
    }
    command = [sys.executable, "-m", "benchmarks.serving.callers", json.dumps(spec)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    blocks: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return blocks


@contextmanager
def _observed(repository: Path, *options: str) -> Iterator[_Observed]:
    with process([sys.executable, "-m", "benchmarks.serving.observed", str(repository), *options]) as started:
        assert started.stdout is not None
        yield _Observed(f"127.0.0.1:{int(started.stdout.readline())}", started)
