"""Nearest neighbours: native operator, scikit-learn and exported graph side by side: `python -m benchmarks.neighbors`.

All three in this process, one thread each, in turns, on made points: ten classes of clusters in 57 features, scaled to
0 … 1. The operator and the graph run in onnxruntime, as a server runs them.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks.reporting.figure import Baseline, Figure, quicker
from benchmarks.reporting.machine import Machine
from benchmarks.reporting.page_section import write_between
from benchmarks.reporting.quiet import MEDIAN_RUN, combined, runs_option, until_quiet
from benchmarks.reporting.report import figure_table, markdown_table

BEGIN: Final = "<!-- neighbors: begin; written by `python -m benchmarks.neighbors --write` -->"
END: Final = "<!-- neighbors: end -->"
SIZES: Final = (8_000, 26_000, 100_000, 1_000_000)
BATCHES: Final = (1, 256)
TARGET: Final = {(1, 100_000, 256): 20.0}
"""Times quicker than scikit-learn, by p, points and rows."""
_MANY: Final = 1_000_000
"""From this many points on, a fifth of the turns."""
_FEATURES: Final = 57
_CLASSES: Final = 10
_CLUSTERS: Final = 200
_NEIGHBORS: Final = 5
_NAMES: Final = {1: "Manhattan", 2: "Euclidean"}
_OURS, _SKLEARN, _GRAPH = "native operator", "scikit-learn", "exported graph"

Rows = npt.NDArray[np.float64]
Answer = Callable[[Rows], Any]


@click.command()
@click.option("--points", type=click.IntRange(min=100), multiple=True, default=SIZES, show_default=True,
              help="Training points; can be repeated. A million take a quarter of an hour and 6 GB.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="Turns of each.")
@click.option("--write", "document", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Replace the table between the marks in this Markdown file.")  # fmt: skip
@runs_option
def main(points: tuple[int, ...], rounds: int, document: Path | None, runs: int | None) -> None:
    """Time the answers of k nearest neighbours, weighted by distance, to 1 row and to 256.

    \b
    Examples:
      python -m benchmarks.neighbors --points 8000 --points 100000
      python -m benchmarks.neighbors --write docs/benchmarks.md
    """  # noqa: D301 - click's mark for "do not wrap"

    def measure() -> list[Figure]:
        figures = []
        for count in points:
            for p in _NAMES:
                click.echo(f"measuring {count:,} points, {_NAMES[p]} distance …", err=True)
                figures += compare(count, p, rounds if count < _MANY else max(1, rounds // 5))
        return figures

    machine, figures = combined(until_quiet(measure, runs, document))
    Console(width=None if sys.stdout.isatty() else 200).print(figure_table(figures))
    if document is not None:
        write_between(document, BEGIN, END, _section(figures, machine))


def compare(count: int, p: int, rounds: int) -> list[Figure]:
    """Measure the three on this many points."""
    points, labels, rows = made(count)
    contestants = contestants_on(points, labels, p)
    figures = []
    for batch in BATCHES:
        medians = in_turns(contestants, rows, batch, rounds)
        what = f"{count:,} points, {_NAMES[p]}, {batch} row{'s' if batch > 1 else ''}"
        for baseline, least in ((_SKLEARN, TARGET.get((p, count, batch))), (_GRAPH, None)):
            figures.append(quicker(what, medians[_OURS], Baseline(baseline, medians[baseline]), least=least))
    return figures


def made(count: int) -> tuple[Rows, npt.NDArray[np.int64], Rows]:
    """Make training points, their classes, and rows to ask about."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CLUSTERS, 20)) @ rng.normal(size=(20, _FEATURES)) / 4
    which = rng.integers(0, _CLUSTERS, count + max(BATCHES) * 4)
    every = centres[which] + rng.normal(size=(len(which), _FEATURES)) * rng.uniform(0.2, 0.6, _FEATURES)
    low, high = every[:count].min(axis=0), every[:count].max(axis=0)
    every = (every - low) / (high - low)
    return every[:count], (which[:count] % _CLASSES).astype(np.int64), every[count:]


def contestants_on(points: Rows, labels: npt.NDArray[np.int64], p: int) -> dict[str, Answer]:
    """Fit, export, and take the operator in the graph's place; all of them answer the same."""
    from sklearn.neighbors import KNeighborsClassifier

    from genrestack_bundle.native.library import LIBRARY
    from genrestack_bundle.native.substitution import native_parts
    from genrestack_export.converters.nearest.knn import knn_graph, read_knn
    from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_META, Model, Part

    estimator = KNeighborsClassifier(_NEIGHBORS, weights="distance", p=p).fit(points, labels)
    graph = knn_graph(read_knn("knn", estimator)).SerializeToString()
    parameters = {"n_neighbors": str(_NEIGHBORS), "weights": "distance", "metric": "minkowski", "p": str(p)}
    cls = type(estimator)
    part = Part(name="knn", kind=PART_KIND_BASE, file="knn.onnx", estimator=f"sklearn.neighbors.{cls.__name__}")
    part.parameters.update(parameters)
    model = Model(
        parts=[part, Part(kind=PART_KIND_META)], classes=[str(i) for i in range(_CLASSES)], opset=18, ml_opset=3
    )
    (native,) = native_parts(model, {part.file: graph}).values()
    return {
        _OURS: _session(native, LIBRARY),
        _SKLEARN: estimator.predict_proba,
        _GRAPH: _session(graph),
    }


def _session(graph: bytes, operators: Path | None = None) -> Answer:
    from genrestack_bundle.runtime.providers import import_onnxruntime

    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if operators is not None:
        options.register_custom_ops_library(str(operators))
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"scaled": rows})[0]


def in_turns(contestants: Mapping[str, Answer], rows: Rows, batch: int, rounds: int) -> dict[str, float]:
    """Return the median over all turns of the quickest call of a turn, in ms; each call has other rows."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, answer in contestants.items():
            calls = _calls(answer, rows, batch, number)
            # The first turn finds caches and allocators cold.
            taken[name] += [min(calls)] if number else []
    return {name: statistics.median(calls) for name, calls in taken.items()}


def _calls(answer: Answer, rows: Rows, batch: int, number: int) -> list[float]:
    """Time calls for a tenth of a second, and one at least."""
    taken: list[float] = []
    while not taken or sum(taken) < 100:
        start = (len(taken) + number) * batch % (len(rows) - batch + 1)
        # All of it is in this process and in one thread at a time: others that wait for the processor do not count.
        begun = time.process_time()
        answer(rows[start : start + batch])
        taken.append(1e3 * (time.process_time() - begun))
    return taken


def _section(figures: list[Figure], machine: Machine) -> str:
    from genrestack_bundle.native.library import instruction_sets

    versions = ", ".join(f"{name} {machine.versions[name]}" for name in ("onnxruntime", "scikit-learn"))
    remarks = "".join(f"- **{line}**\n" for line in machine.remarks(MEDIAN_RUN))
    return (
        f"{markdown_table(figures)}\n{remarks}"
        f"- {_NEIGHBORS} neighbours weighted by distance, {_FEATURES} features, {_CLASSES} classes; made points; one "
        "thread each, in turns; processor time, medians over the turns of the quickest call of each.\n"
        f"- Machine: {machine.cpu}; instruction set: {instruction_sets()[0]}. Software: {versions}.\n"
        f"- Date: {machine.date}."
    )


def _alone() -> None:
    """Restart with one thread for OpenMP and BLAS, which read that once: idle ones spin, and calls wait for them."""
    wanted = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if not wanted.items() <= os.environ.items():
        # A kernel that somebody has chosen for another machine is not a fair baseline either.
        kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.neighbors", *sys.argv[1:]], {**kept, **wanted})


if __name__ == "__main__":
    _alone()
    main(prog_name="python -m benchmarks.neighbors")
