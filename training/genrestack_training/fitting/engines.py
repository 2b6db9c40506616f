"""Where fits run: in this process one after the other, or in several processes at once."""

import os
import tempfile
import time
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Protocol

import joblib
import numpy as np
import numpy.typing as npt

from genrestack_training.fitting.environment import environment
from genrestack_training.fitting.fit_time import estimated_seconds
from genrestack_training.fitting.progress import FitTracker
from genrestack_training.fitting.single_thread import RemoteFit, fit_single_threaded, replay_warnings
from genrestack_training.fitting.tasks import FitTask, Fitted, run_fit

Rows = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# Below this, starting processes that import TensorFlow costs more than they save.
_WORTH_PROCESSES_S: Final = 30.0
_POLL_S: Final = 0.3


class Engine(Protocol):
    """Runs fits, in any order and on any machine."""

    @property
    def parallelism(self) -> int:
        """How many fits run at once."""

    def run(
        self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: FitTracker
    ) -> Iterable[tuple[FitTask, Fitted]]:
        """Run tasks and yield each one's result as it comes; progress goes to `fits`."""


class SequentialEngine:
    """One fit after the other, here; each with all the threads its library takes."""

    parallelism = 1

    def run(
        self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: FitTracker
    ) -> Iterator[tuple[FitTask, Fitted]]:
        """Run tasks in the order in which they come."""
        for task in tasks:
            fits.begin(task.key)
            fitted = run_fit(task, rows, codes, epochs=partial(fits.epoch, task.key))
            fits.end(task.key)
            yield task, fitted


class ProcessEngine:
    """Several processes, each with one thread and one fit at a time, the long fits first.

    A network this small, or a support vector machine, gains little from a second thread, and two fits in parallel
    gain nearly all of it.
    """

    def __init__(self, parallelism: int) -> None:
        self.parallelism = parallelism

    def run(
        self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: FitTracker
    ) -> Iterator[tuple[FitTask, Fitted]]:
        """Run tasks, yielding each result as soon as it is there."""
        _expect_replaced_processes()
        ordered = longest_first(tasks, len(rows))
        with (
            tempfile.TemporaryDirectory(prefix="genrestack-fits-") as folder,
            _forwarded_progress(Path(folder), ordered, fits),
        ):
            calls = (joblib.delayed(_fit_remotely)(task, rows, codes, folder) for task in ordered)
            # Processes of their own, so that no caller's script needs a main guard, as `multiprocessing` would ask.
            # joblib starts them with `python -m`, which imports what somebody has laid into the working directory.
            with (
                environment({"PYTHONSAFEPATH": "1"}),
                joblib.parallel_config(backend="loky", n_jobs=self.parallelism, inner_max_num_threads=1),
            ):
                results = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")(calls)
                with _closed_without_warning(results):
                    for key, remote in results:
                        replay_warnings(remote.warned)
                        fits.end(key)
                        yield next(task for task in ordered if task.key == key), remote.fitted


def choose_engine(jobs: int | None, tasks: Iterable[FitTask], rows: int) -> Engine:
    """Choose where to fit.

    Args:
        jobs: fits at once; None: as many as there are CPUs for this process, if the work is long enough for that.
        tasks: what is to be fitted.
        rows: training rows.

    """
    if jobs is None:
        long = sum(_estimated_seconds(task, rows) for task in tasks) > _WORTH_PROCESSES_S
        jobs = joblib.cpu_count() if long else 1
    return ProcessEngine(jobs) if jobs > 1 else SequentialEngine()


def longest_first(tasks: Sequence[FitTask], rows: int) -> list[FitTask]:
    """Order tasks so that no long one is left for the end, when the other workers are idle."""
    return sorted(tasks, key=lambda task: -_estimated_seconds(task, rows))


def _estimated_seconds(task: FitTask, rows: int) -> float:
    return estimated_seconds(task.estimator, rows if task.training is None else len(task.training))


def _fit_remotely(task: FitTask, rows: Rows, codes: Codes, folder: str) -> tuple[tuple[str, int], RemoteFit]:
    """Fit in a process of its own, which writes its progress to a file."""
    _exit_with_parent()
    progress = _progress_file(Path(folder), task.key)
    progress.touch()
    return task.key, fit_single_threaded(task, rows, codes, epochs=partial(_write_progress, progress))


def _expect_replaced_processes() -> None:
    """Keep joblib from warning that it replaces a process which has grown, as those of networks do.

    It warns in a thread of its own, which no block of a caller's reaches; and where warnings are errors that ends the
    thread, and the fits with it would wait for ever.
    """
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning, "joblib")


@contextmanager
def _closed_without_warning(results: Generator[Any, None, None]) -> Iterator[None]:
    """Stop what still runs when the block ends early; joblib's advice about that is for those who did not mean to."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*still being processed by the workers", UserWarning)
            results.close()


@cache
def _exit_with_parent() -> None:
    """Exit soon after the parent does: killed, it could not ask for that."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os._exit(1)

    Thread(target=watch, name="genrestack-parent", daemon=True).start()


def _progress_file(folder: Path, key: tuple[str, int]) -> Path:
    part, fold = key
    # A part may be called anything: its name need not be fit for a file.
    return folder / f"{part.encode().hex()[:100]}-{fold}"


def _write_progress(path: Path, done: int, of: int) -> None:
    # Progress that is lost is not a reason to stop fitting.
    with suppress(OSError):
        path.write_text(f"{done} {of}\n", encoding="ascii")


@contextmanager
def _forwarded_progress(folder: Path, tasks: Sequence[FitTask], fits: FitTracker) -> Iterator[None]:
    """Forward the progress that the processes write, until the block ends."""
    over = Event()

    def follow() -> None:
        seen: dict[tuple[str, int], str] = {}
        while not over.wait(_POLL_S):
            for task in tasks:
                _forward(folder, task.key, fits, seen)

    thread = Thread(target=follow, name="genrestack-fits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _forward(folder: Path, key: tuple[str, int], fits: FitTracker, seen: dict[tuple[str, int], Any]) -> None:
    try:
        progress = _progress_file(folder, key).read_text(encoding="ascii")
    except OSError:
        return
    if key not in seen:
        fits.begin(key)
    if progress != seen.get(key, "") and len(numbers := progress.split()) == 2:
        fits.epoch(key, int(numbers[0]), int(numbers[1]))
    seen[key] = progress
