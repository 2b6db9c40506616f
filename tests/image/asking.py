"""A client, run on a container's own loopback: `asking.py answers ROWS ANSWERS`, `asking.py long ROWS`."""

import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from genrestack import Client, Health
from genrestack.errors import GenreStackError

SERVER = "127.0.0.1:50051"
METRICS = "http://127.0.0.1:9464/metrics"
BATCHES = 4
_WAIT_S = 60.0


def ask_answers(rows: Path, answers: Path) -> None:
    """Ask for the same rows in one call and in a stream; keep both."""
    table = np.load(rows)
    with Client(SERVER, timeout=60) as client:
        assert client.health() is Health.SERVING
        once = client.predict(table)
        streamed = list(client.predict_stream(np.array_split(table, BATCHES)))
    np.savez(
        answers,
        labels=once.labels,
        predict=once.probabilities,
        stream=np.vstack([each.probabilities for each in streamed]),
        batches=len(streamed),
    )
    assert metric("genrestack_rows_total") == 2 * len(table)


def ask_long(rows: int) -> None:
    """Say when a long call is under way; then how many rows it answered, and what a later call is told."""
    with Client(SERVER, timeout=120) as client, ThreadPoolExecutor() as threads:
        features = len(client.model("slow").feature_names)
        call = threads.submit(client.predict, np.ones((rows, features)))
        until_in_flight()
        print("under way", flush=True)
        while client_health() is Health.SERVING:
            time.sleep(0.02)
        assert not call.done()
        print(f"draining, then {len(call.result())} rows", flush=True)


def client_health() -> Health:
    """Ask on a connection of its own; one that is refused is no longer serving."""
    try:
        with Client(SERVER, timeout=5) as client:
            return client.health()
    except GenreStackError:
        return Health.NOT_SERVING


def until_in_flight() -> None:
    """Wait until the server has let the call in."""
    deadline = time.monotonic() + _WAIT_S
    while metric("genrestack_requests_in_flight") < 1:
        assert time.monotonic() < deadline, "the call does not arrive"
        time.sleep(0.02)


def metric(name: str) -> float:
    """Sum a metric's samples, as Prometheus would read them."""
    with urllib.request.urlopen(METRICS, timeout=10) as page:
        lines = page.read().decode().splitlines()
    samples = [line.rpartition(" ") for line in lines if line.startswith(name)]
    assert samples, f"{name} is not there"
    return sum(float(value) for _, _, value in samples)


if __name__ == "__main__":
    if sys.argv[1] == "answers":
        ask_answers(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        ask_long(int(sys.argv[2]))
