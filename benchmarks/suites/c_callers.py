"""Many calls at once by a generator in C, which takes less of the cores than callers in Python do."""

import statistics
from pathlib import Path
from typing import Final

import click

from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.budget import Budget
from benchmarks.reporting.figure import Baseline, Figure, share
from benchmarks.serving import h2load
from benchmarks.serving.echo import METHOD
from benchmarks.serving.servers import connected, echo_server, genrestack_server
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

_AT_ONCE: Final = 64
_PREDICT: Final = "/genrestack.v1.PredictionService/Predict"
_OURS, _ECHO = "Predict", "a grpc.aio echo of the same size"


def c_callers(repository: Path, budget: Budget) -> tuple[Figure, ...]:
    """Let h2load call our server and the echo in turns; nothing where it is not installed, which is said."""
    if not h2load.installed():
        click.echo(f"left out: {h2load.PACKAGE} is not installed", err=True)
        return ()
    request = PredictRequest(rows=to_matrix(open_only_bundle(repository).golden.rows[:1]))
    with genrestack_server(repository) as server:
        with connected(server.address) as channel:
            # Raises where the answer is an error; h2load would count that as one more answer.
            size = PredictionServiceStub(channel).Predict(request).ByteSize()
        with echo_server(size) as echo:
            addresses = {_ECHO: (echo, METHOD), _OURS: (server.address, _PREDICT)}
            return _figures(_measured(addresses, request.SerializeToString(), budget), size)


def _measured(addresses: dict[str, tuple[str, str]], request: bytes, budget: Budget) -> dict[str, list[h2load.Calls]]:
    found: dict[str, list[h2load.Calls]] = {name: [] for name in addresses}
    for turn in range(budget.many_callers_rounds + 1):
        for name, (address, method) in addresses.items():
            calls = h2load.call(address, method, request, calls=budget.generated_calls, at_once=_AT_ONCE)
            found[name] += [calls] if turn else []  # the first turn warms up
    return found


def _figures(found: dict[str, list[h2load.Calls]], size: int) -> tuple[Figure, ...]:
    for name, blocks in found.items():
        answered = min(calls.answered(size) for calls in blocks)
        if answered < 1:
            raise RuntimeError(f"{name}: only {answered:.2%} of the calls were answered; see the server's lines above")
    rates = {name: statistics.median(calls.rate for calls in blocks) for name, blocks in found.items()}
    ratios = [ours.rate / echo.rate for ours, echo in zip(found[_OURS], found[_ECHO], strict=True)]
    note = f"rounds between {min(ratios):.3g} and {max(ratios):.3g}; all answered; h2load on the same cores"
    what = f"Predict, 1 row, {_AT_ONCE} calls at once by h2load (C), calls/s"
    return (share(what, rates[_OURS], "calls/s", Baseline(_ECHO, rates[_ECHO]), note=note),)
