"""Measure what metrics of answers cost a call: `tools/measure_answer_metrics.py MODELS [--rows N …] [--rounds N]`.

One server counts answers in every second block of calls and not in those between, so that whatever else the machine
does is in both: the mean difference of its CPU time a call, and the median difference of what a caller waits. Rows are
the golden rows of the newest version of the first model.
"""

import argparse
import asyncio
import multiprocessing
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from genrestack import Client
from genrestack_bundle import open_bundle
from genrestack_server import Server, ServerConfig
from genrestack_server.models.background import keep_little

CALLS = {True: 300, False: 40}
"""Of a block, by whether a call has one row."""


def serve(models: Path, line: Connection) -> None:
    """Serve until told to stop; switch the counting on and off when told, and tell the CPU time so far."""
    keep_little()
    asyncio.run(_serve(models, line))


async def _serve(models: Path, line: Connection) -> None:
    config = replace(ServerConfig(models_dir=models, port=0, threads=1), metrics_port=0)
    async with Server(config) as server:
        listed = server.observers._answered  # noqa: SLF001 - nothing else switches an observer off
        counting = list(listed)
        line.send(server.port)
        while (on := await asyncio.to_thread(line.recv)) is not None:
            listed[:] = counting if on else []
            line.send(time.process_time())


def measure(client: Client, line: Connection, rows: np.ndarray, rounds: int) -> str:
    """Return a line on calls of these rows."""
    differences, without = [], []
    calls = CALLS[len(rows) == 1]
    for turn in range(-1, rounds):
        found = {}
        for on in (True, False) if turn % 2 else (False, True):
            line.send(on)
            began = line.recv()
            waits = []
            for _ in range(calls):
                moment = time.perf_counter()
                client.predict(rows)
                waits.append(time.perf_counter() - moment)
            line.send(on)
            found[on] = np.array([(line.recv() - began) / calls, np.median(waits)]) * 1e6
        if turn >= 0:
            differences.append(found[True] - found[False])
            without.append(found[False])
    cpu, wait = np.array(differences).T
    error = cpu.std(ddof=1) / np.sqrt(len(cpu))
    base = np.median(without, axis=0)
    return (
        f"{len(rows):,} rows a call: {base[0]:.0f} µs of CPU and {base[1]:.0f} µs of waiting without; counting adds "
        f"{cpu.mean():.0f} ± {error:.0f} µs of CPU, {np.median(wait):.0f} µs of waiting"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    model = min(folder for folder in given.models.iterdir() if folder.is_dir())
    version = max(
        (folder for folder in model.iterdir() if folder.name.isdecimal()), key=lambda folder: int(folder.name)
    )
    golden = open_bundle(version).golden.rows
    context = multiprocessing.get_context("spawn")
    line, other = context.Pipe()
    server = context.Process(target=serve, args=(given.models, other))
    server.start()
    with Client(f"127.0.0.1:{line.recv()}", timeout=60) as client:
        for count in given.rows:
            print(measure(client, line, np.resize(golden, (count, golden.shape[1])), given.rounds), flush=True)
    line.send(None)
    server.join()


if __name__ == "__main__":
    main()
