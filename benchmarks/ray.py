"""Ray Serve against one plain server, in one run: `python -m benchmarks.ray`."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from benchmarks.contestants.contest import ROOT
from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.quiet import quietest, runs_option, until_quiet
from benchmarks.serving.servers import genrestack_server, process
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

BEGIN: Final = "<!-- ray: begin; written by `python -m benchmarks.ray --write` -->"
END: Final = "<!-- ray: end -->"
PLAIN: Final = "one plain server"
_PATIENCE_S: Final = 60.0
_METHOD: Final = "/genrestack.v1.PredictionService/Predict"
# Ray's proxy listens on every interface, so that all of it runs where there is none but loopback.
_ALONE: Final = ("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_IS_ALONE: Final = "GENRESTACK_BENCH_ALONE"


@dataclass(frozen=True)
class Load:
    """Callers who each wait for an answer before they call again."""

    callers: int
    rows: int

    @property
    def name(self) -> str:
        """The load in words."""
        callers = "1 caller" if self.callers == 1 else f"{self.callers} callers"
        return f"{callers}, 1 row a call" if self.rows == 1 else f"{callers}, {self.rows} rows a call"


LOADS: Final = (Load(1, 1), Load(64, 1), Load(8, 256))


@dataclass(frozen=True)
class Measured:
    """What one contestant did under one load."""

    contestant: str
    load: Load
    calls_a_second: float
    p50_ms: float
    p99_ms: float
    rates: tuple[float, ...]
    """Calls a second of each block."""


@click.command()
@click.option("--models", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
              metavar="FOLDER", help="Repository of one model; default: the notebook's stack.")  # fmt: skip
@click.option("--replicas", type=click.IntRange(min=1), multiple=True, default=(1, 2), show_default=True,
              help="Number of replicas; can be repeated.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Few repetitions: rough figures.")
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
              metavar="FILE", help="Replace the table between the marks in this Markdown file.")  # fmt: skip
@runs_option
def main(
    *, models: Path | None, replicas: tuple[int, ...], quick: bool, document: Path | None, runs: int | None
) -> None:  # fmt: skip
    """Measure what Ray Serve's proxy and replicas cost, and give, beside one plain server on the same machine.

    They take turns, block by block, with the same threads in all. Needs a machine that lets this user have a network
    namespace (unshare, ip): Ray listens on every interface there is. Leave the machine alone meanwhile.

    \b
    Examples:
      python -m benchmarks.ray --quick
      python -m benchmarks.ray --write docs/ray.md
    """  # noqa: D301 - click's mark for "do not wrap"
    _go_where_it_is_quiet()
    repository = models or _prepared()

    def measure() -> list[Measured]:
        return [found for count in dict.fromkeys(replicas) for found in _measured(repository, count, quick=quick)]

    machine, measured = quietest(until_quiet(measure, runs, document))
    text = "\n".join(render(measured, machine, quick=quick))
    click.echo(text)
    if document is not None:
        write_into(document, text)


def render(measured: Sequence[Measured], machine: Machine, *, quick: bool) -> list[str]:
    """Write what was measured as Markdown; each line of Ray's follows that of the plain server it took turns with."""
    chosen = "the table is that of the quietest run; ratios stand with how far its rounds lay apart"
    lines = [f"**{line}**\n" for line in machine.remarks(chosen)]
    if quick:
        lines.append("**Measured with --quick: rough figures.**\n")
    lines += ["| load | server | calls/s | rows/s | p50 | p99 | throughput against the plain server |"]
    lines += ["|---|---|---|---|---|---|---|"]
    baseline: Measured | None = None
    for found in measured:
        baseline = found if found.contestant == PLAIN else baseline
        ratio = "" if found is baseline or baseline is None else _ratio(found, baseline)
        rows = found.calls_a_second * found.load.rows
        lines.append(
            f"| {found.load.name} | {found.contestant} | {found.calls_a_second:,.0f} | {rows:,.0f} "
            f"| {found.p50_ms:.2f} ms | {found.p99_ms:.2f} ms | {ratio} |"
        )
    where = f"{machine.cpu}, {machine.threads} CPUs, load {machine.load:.1f} at the start; clients on the same cores"
    lines += ["", f"{where}; medians of blocks that took turns; {_versions()}; {machine.date}."]
    return lines


def _ratio(found: Measured, baseline: Measured) -> str:
    """Write a throughput's share of the plain server's, and how far it lay apart where there were several blocks."""
    ratio = f"{found.calls_a_second / baseline.calls_a_second:.2f}×"
    ratios = [ours / plain for ours, plain in zip(found.rates, baseline.rates, strict=True)]
    return f"{ratio} ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ratio


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the two marks in a Markdown file.

    Raises:
        click.ClickException: the file lacks the marks.

    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"{path} lacks the marks {BEGIN} and {END}; add them where the table belongs")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def summed_up(contestant: str, load: Load, blocks: Sequence[dict[str, Any]]) -> Measured:
    """Summarise the blocks of one contestant: the median block's rate, percentiles over all calls."""
    taken = 1e3 * np.sort([seconds for block in blocks for seconds in block["taken"]])
    rates = tuple(len(block["taken"]) / block["seconds"] for block in blocks)
    p50, p99 = np.percentile(taken, [50, 99])
    return Measured(contestant, load, statistics.median(rates), float(p50), float(p99), rates)


def _measured(repository: Path, replicas: int, *, quick: bool) -> Iterator[Measured]:
    golden = open_only_bundle(repository).golden.rows
    ours = f"Ray Serve, {replicas} replica{'s' if replicas > 1 else ''}"
    with genrestack_server(repository) as plain, _ray(repository, replicas) as address:
        for load in LOADS:
            click.echo(f"measuring {ours}: {load.name} …", err=True)
            rows = np.ascontiguousarray(np.resize(golden, (load.rows, golden.shape[1])))
            request = PredictRequest(rows=to_matrix(rows)).SerializeToString()
            blocks = _in_turns({PLAIN: plain.address, ours: address}, load, request, quick=quick)
            yield from (summed_up(name, load, found) for name, found in blocks.items())


@contextmanager
def _ray(repository: Path, replicas: int) -> Iterator[str]:
    with process(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.ray_server", str(repository), str(replicas)]
    ) as ray:
        assert ray.stdout is not None
        # Ray says this and that before.
        said = iter(ray.stdout.readline, "")
        address = next((line.strip() for line in said if line.startswith("127.0.0.1:")), None)
        if address is None:
            raise RuntimeError(f"Ray Serve did not start (exit status {ray.wait()}); see above")
        yield address
        print(file=ray.stdin, flush=True)
        ray.wait(_PATIENCE_S)


def _in_turns(addresses: dict[str, str], load: Load, request: bytes, *, quick: bool) -> dict[str, list[dict[str, Any]]]:
    spec = {
        "callers": load.callers,
        "seconds": 0.5 if quick else 2.0,
        "rounds": 2 if quick else 9,
        "contestants": [
            {"name": name, "address": address, "method": _METHOD, "request": request.hex()}
            for name, address in addresses.items()
        ],
    }
    # By its input: requests are longer than a command line may be.
    command = [sys.executable, "-m", "benchmarks.serving.callers", "-"]
    done = subprocess.run(command, input=json.dumps(spec), stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    blocks: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return blocks


def _prepared() -> Path:
    from benchmarks.contestants.prepared import prepare

    return prepare(None).single


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("ray", "grpcio", "onnxruntime"))


def _go_where_it_is_quiet() -> None:
    """Restart in a network namespace of this run's own."""
    if os.environ.get(_IS_ALONE) == "1":
        return
    os.environ[_IS_ALONE] = "1"
    command = [*_ALONE, sys.executable, "-m", "benchmarks.ray", *sys.argv[1:]]
    try:
        os.execvp(command[0], command)
    except FileNotFoundError as error:
        raise click.ClickException(
            "needs network namespaces: install util-linux (unshare) and iproute2 (ip)"
        ) from error


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.ray")
