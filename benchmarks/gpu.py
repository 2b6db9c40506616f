"""A bundle on a GPU and on the CPU of the same machine, in one run: `python -m benchmarks.gpu BUNDLE…`."""

import argparse
import os
import time
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.reporting.machine import processor
from genrestack_bundle import Answer, ComposedSession, open_bundle, verified_session

SIZES: Final = (1, 16, 64, 256, 1024, 4096)
SECONDS: Final = 1.5
NOISE: Final = 0.01


def main() -> None:
    """Print pace, agreement and the effect of the batch's size, for each bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="e.g. models/gtzan/1")
    parser.add_argument("--provider", default="cuda", choices=["cuda", "tensorrt"])
    arguments = parser.parse_args()
    print(f"processor: {processor()}, {os.cpu_count()} threads")
    for folder in arguments.bundles:
        compare(folder, arguments.provider)


def compare(folder: Path, provider: str) -> None:
    """Print how quick one bundle is on the GPU, and how far its answers are from the CPU's."""
    bundle = open_bundle(folder)
    began = time.monotonic()
    verified = verified_session(bundle, provider=provider)
    print(f"{folder}: verified on {verified.session.provider} in {time.monotonic() - began:.1f} s, ", end="")
    print(f"largest difference {verified.parity.max_abs_difference:.1e}; nodes {dict(verified.session.nodes)}")
    sessions = {"GPU": verified.session}
    for threads in sorted({2, os.cpu_count() or 2}):
        sessions[f"CPU, {threads} threads"] = verified_session(bundle, provider="cpu", threads=threads).session
    print(f"{'rows':>6} " + " ".join(f"{name:>16}" for name in sessions) + "   µs a row · GPU against CPU")
    generator = np.random.default_rng(0)
    for count in SIZES:
        rows = bundle.golden.rows[generator.integers(0, len(bundle.golden.rows), count)].astype(np.float32)
        rows *= 1 + generator.normal(0, NOISE, rows.shape).astype(np.float32)
        measured = {name: pace(session, rows) for name, session in sessions.items()}
        answers = [answer for _, answer in measured.values()]
        differing = sum(int((answers[0].class_index != other.class_index).sum()) for other in answers[1:])
        apart = max(difference(answers[0], other) for other in answers[1:])
        print(f"{count:>6} " + " ".join(f"{seconds * 1e6 / count:>16.1f}" for seconds, _ in measured.values()), end="")
        print(f"   {differing} labels differ, max |Δp| {apart:.1e}")
    print_batches(verified.session, np.resize(bundle.golden.rows, (256, len(bundle.model.features))).astype(np.float32))


def pace(session: ComposedSession, rows: npt.NDArray[np.float32]) -> tuple[float, Answer]:
    """Return the median seconds of a run, and its answer."""
    answer = session.run(rows)
    seconds: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(seconds) < 3:
        began = time.perf_counter()
        answer = session.run(rows)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), answer


def difference(one: Answer, other: Answer) -> float:
    """Return the largest difference in a probability."""
    return float(np.abs(one.probabilities - other.probabilities).max())


def print_batches(session: ComposedSession, rows: npt.NDArray[np.float32]) -> None:
    """Print how far answers move when the same rows come in smaller batches."""
    whole = session.run(rows).probabilities
    for size in (1, 7, 64):
        parts = [session.run(rows[begin : begin + size]).probabilities for begin in range(0, len(rows), size)]
        print(f"in batches of {size}: max |Δp| {float(np.abs(np.concatenate(parts) - whole).max()):.1e}")


if __name__ == "__main__":
    main()
