"""One contestant's turn in a round: a fresh start, its first answer, the loads, its memory, its end."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.contestants.contest import ROOT
from benchmarks.peers.contestants.environments import Environment
from benchmarks.peers.contestants.roster import Contestant, Files, Place, surroundings
from benchmarks.peers.load.asking import asking, first_answer
from benchmarks.peers.load.messages import Probabilities, Protocol, Rows
from benchmarks.peers.measuring.budget import Block

# Different requests of the load.
_VARIETY: Final = 64
# Answered one by one before the others, for the comparison.
_SINGLES: Final = 20
_BATCH: Final = 256
_FAREWELL_S: Final = 15.0
_LOAD_S: Final = 300.0


class PeerFailed(Exception):
    """A contestant did not start, or gave no answer; the message ends with what it printed last."""


@dataclass(frozen=True)
class Loaded:
    """What a block of load measured."""

    seconds: float
    taken: tuple[float, ...]
    """Seconds of each call."""


@dataclass(frozen=True)
class ContestantRun:
    """What a turn measured."""

    start_seconds: float
    """From the start of the process until it has answered its first row."""
    loads: dict[str, Loaded]
    """By the block's name."""
    memory_mb: float
    """Of all its processes after the loads, pages in common counted once, in units of 10⁶ bytes."""


Tool = Callable[[str], Environment]


@dataclass(frozen=True)
class Running:
    """A contestant that has answered its first row."""

    start_seconds: float
    load: Callable[[Block], Loaded]
    answers: Callable[[], Probabilities]
    """Answer all held-back rows: some one by one, the others in requests of 256."""
    memory_mb: Callable[[], float]


def measure_contestant(running: Running, blocks: Sequence[Block]) -> ContestantRun:
    """Do the loads, one after the other, and weigh the processes."""
    loads = {block.name: running.load(block) for block in blocks}
    return ContestantRun(running.start_seconds, loads, running.memory_mb())


@contextmanager
def started(contestant: Contestant, files: Files, tool: Tool) -> Iterator[Running]:
    """Run a contestant for the length of the block; `tool` gives environments by name.

    Raises:
        PeerFailed: it does not start, or does not answer.

    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        port, *spare = _free_ports(3)
        place = Place(tool(contestant.environment), port, tuple(spare), folder)
        run = _served if contestant.protocol else _in_process
        try:
            yield stack.enter_context(run(contestant, files, place, tool))
        except (OSError, ValueError, subprocess.SubprocessError, RuntimeError) as error:
            raise PeerFailed(f"{contestant.name}: {error}{_last_lines(folder / 'printed')}") from error


@contextmanager
def _served(contestant: Contestant, files: Files, place: Place, tool: Tool) -> Iterator[Running]:
    assert contestant.protocol is not None
    assert contestant.command is not None
    protocol, command = contestant.protocol(files), contestant.command
    rows = _rows(files)
    one = protocol.request(rows[:1])
    begun = time.perf_counter()
    with _process(command(files, place), contestant, files, place, subprocess.DEVNULL) as process:
        if not first_answer(protocol, place.port, one, lambda: process.poll() is None):
            raise RuntimeError(f"no answer (exit status {process.poll()})")
        yield Running(
            time.perf_counter() - begun,
            lambda block: _generate(protocol, place, rows, block, tool("load")),
            lambda: _ask_all(protocol, place.port, rows),
            lambda: memory_mb(process.pid),
        )


@contextmanager
def _in_process(contestant: Contestant, files: Files, place: Place, tool: Tool) -> Iterator[Running]:  # noqa: ARG001 - one signature for both
    path = files.pickle if contestant.kind == "pickle" else files.prepared.stock
    spec = {
        "kind": contestant.kind,
        "path": str(path),
        "threads": contestant.threads,
        "rows": str(files.prepared.rows),
    }
    command = [str(place.environment.python), "-m", "benchmarks.peers.contestants.in_process", json.dumps(spec)]
    begun = time.perf_counter()
    with _process(command, contestant, files, place, subprocess.PIPE) as process:
        _read(process)
        seconds = time.perf_counter() - begun

        def load(block: Block) -> Loaded:
            found = _requested(process, {"load": vars(block)})
            return Loaded(found["seconds"], tuple(found["taken"]))

        def answers() -> Probabilities:
            file = place.folder / "answers.npy"
            _requested(process, {"answer": str(file), "sizes": _sizes(len(_rows(files)))})
            return np.asarray(np.load(file), np.float64)

        yield Running(seconds, load, answers, lambda: memory_mb(process.pid))


@contextmanager
def _process(
    command: list[str], contestant: Contestant, files: Files, place: Place, pipe: int
) -> Iterator["subprocess.Popen[str]"]:
    """Run a command in a session of its own, so that all that it starts can be ended with it."""
    with (place.folder / "printed").open("w", encoding="utf-8") as printed:
        process = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe if pipe == subprocess.PIPE else printed,
            stderr=printed,
            text=True,
            cwd=place.folder,
            env=surroundings(contestant, files, place),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process and all it has started: politely, and then for certain."""
    family = _family(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    _, left = psutil.wait_procs(family, timeout=_FAREWELL_S)
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.communicate()


def _family(number: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(number)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory_mb(number: int) -> float:
    """Weigh a process and all that it has started, in units of 10⁶ bytes; pages in common count once."""
    total = 0
    for each in _family(number):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += each.memory_full_info().pss
    return total / 1e6


def _generate(protocol: Protocol, place: Place, rows: Rows, block: Block, tool: Environment) -> Loaded:
    requests = [protocol.request(part) for part in _requests(rows, block.rows)]
    spec = {
        "protocol": protocol.transport,
        "address": f"127.0.0.1:{place.port}",
        "method": protocol.method,
        "requests": [request.hex() for request in requests],
        "headers": [protocol.headers(request) for request in requests],
        "block": vars(block),
    }
    file = place.folder / "load.json"
    file.write_text(json.dumps(spec), encoding="utf-8")
    command = [str(tool.python), "-m", "benchmarks.peers.load.generator", str(file)]
    outside = {"PYTHONPATH": str(ROOT)} if tool.packages else {}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **outside}, check=True, text=True, stdout=subprocess.PIPE, timeout=_LOAD_S
    )
    found = json.loads(done.stdout)
    return Loaded(found["seconds"], tuple(found["taken"]))


def _requests(rows: Rows, size: int) -> Iterator[Rows]:
    for number in range(min(_VARIETY, max(1, len(rows) // size))):
        yield np.resize(rows[number * size : (number + 1) * size], (size, rows.shape[1]))


def _ask_all(protocol: Protocol, port: int, rows: Rows) -> Probabilities:
    parts = np.split(rows, np.cumsum(_sizes(len(rows)))[:-1])
    with asking(protocol, port) as ask:
        return np.concatenate([protocol.probabilities(ask(protocol.request(part))) for part in parts])


def _sizes(count: int) -> list[int]:
    """Split rows into requests."""
    singles = min(_SINGLES, count)
    whole, rest = divmod(count - singles, _BATCH)
    return [1] * singles + [_BATCH] * whole + ([rest] if rest else [])


def _rows(files: Files) -> Rows:
    rows: Rows = np.load(files.prepared.rows)
    return rows


def _requested(process: "subprocess.Popen[str]", request: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return _read(process)


def _read(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"it ended (exit status {process.wait()})")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _last_lines(file: Path) -> str:
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return "".join(f"\n  {line}" for line in text.splitlines()[-15:])


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
