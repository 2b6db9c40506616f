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
from genrestack_training.fitting.fit_time import guessed_seconds
from genrestack_training.fitting.progress import Fits
from genrestack_training.fitting.single_thread import Brought, fit_aside, warn_here
from genrestack_training.fitting.tasks import FitTask, Fitted, run_fit

Rows = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# Below this, starting processes that import TensorFlow costs more than they save.
_WORTH_PROCESSES_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.3


class Engine(Protocol):
    """Runs fits, in any order and on any machine."""

    @property
    def lanes(self) -> int:
        """How many fits run at once."""

    def run(self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: Fits) -> Iterable[tuple[FitTask, Fitted]]:
        """Run tasks and give each one's result as it comes; `fits` hears how they go."""


class InProcess:
    """One fit after the other, here; each with all the threads its library takes."""

    lanes = 1

    def run(self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: Fits) -> Iterator[tuple[FitTask, Fitted]]:
        """Run tasks in the order in which they come."""
        for task in tasks:
            fits.begin(task.key)
            fitted = run_fit(task, rows, codes, epochs=partial(fits.epoch, task.key))
            fits.end(task.key)
            yield task, fitted


class Processes:
    """Several processes, each with one thread and one fit at a time, the long fits first.

    A network this small, or a support vector machine, gains little from a second thread, and two fits side by side
    gain nearly all of it.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes

    def run(self, tasks: Sequence[FitTask], rows: Rows, codes: Codes, fits: Fits) -> Iterator[tuple[FitTask, Fitted]]:
        """Run tasks, giving each result as soon as it is there."""
        ordered = longest_first(tasks, len(rows))
        with tempfile.TemporaryDirectory(prefix="genrestack-fits-") as folder, _followed(Path(folder), ordered, fits):
            calls = (joblib.delayed(_fit_there)(task, rows, codes, folder) for task in ordered)
            # Processes of their own, so that no caller's script needs a main guard, as `multiprocessing` would ask.
            # joblib starts them with `python -m`, which imports what somebody has laid into the working directory.
            with (
                environment({"PYTHONSAFEPATH": "1"}),
                joblib.parallel_config(backend="loky", n_jobs=self.lanes, inner_max_num_threads=1),
            ):
                results = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")(calls)
                with _closed_quietly(results):
                    for key, brought in results:
                        warn_here(brought.warned)
                        fits.end(key)
                        yield next(task for task in ordered if task.key == key), brought.fitted


def choose_engine(jobs: int | None, tasks: Iterable[FitTask], rows: int) -> Engine:
    """Choose where to fit.

    Args:
        jobs: fits at once; None: as many as there are CPUs for this process, if the work is long enough for that.
        tasks: what is to be fitted.
        rows: training rows.

    """
    if jobs is None:
        long = sum(_guess(task, rows) for task in tasks) > _WORTH_PROCESSES_S
        jobs = joblib.cpu_count() if long else 1
    return Processes(jobs) if jobs > 1 else InProcess()


def longest_first(tasks: Sequence[FitTask], rows: int) -> list[FitTask]:
    """Order tasks so that no long one is left for the end, when the other lanes have nothing to do."""
    return sorted(tasks, key=lambda task: -_guess(task, rows))


def _guess(task: FitTask, rows: int) -> float:
    return guessed_seconds(task.estimator, rows if task.training is None else len(task.training))


def _fit_there(task: FitTask, rows: Rows, codes: Codes, folder: str) -> tuple[tuple[str, int], Brought]:
    """Fit in a process of its own, which leaves word of its epochs in a file."""
    _end_with_parent()
    news = _news_file(Path(folder), task.key)
    news.touch()
    return task.key, fit_aside(task, rows, codes, epochs=partial(_write_news, news))


@contextmanager
def _closed_quietly(results: Generator[Any, None, None]) -> Iterator[None]:
    """Stop what still runs when the block ends early; joblib's advice about that is for those who did not mean to."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*still being processed by the workers", UserWarning)
            results.close()


@cache
def _end_with_parent() -> None:
    """End this process soon after the one that asked for fits: killed, that one could not tell it to stop."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_S)
        os._exit(1)

    Thread(target=watch, name="genrestack-parent", daemon=True).start()


def _news_file(folder: Path, key: tuple[str, int]) -> Path:
    part, fold = key
    # A part may be called anything: its name need not be fit for a file.
    return folder / f"{part.encode().hex()[:100]}-{fold}"


def _write_news(path: Path, done: int, of: int) -> None:
    # Somebody watching is no reason to stop fitting.
    with suppress(OSError):
        path.write_text(f"{done} {of}\n", encoding="ascii")


@contextmanager
def _followed(folder: Path, tasks: Sequence[FitTask], fits: Fits) -> Iterator[None]:
    """Pass on what the processes write, until the block ends."""
    over = Event()

    def follow() -> None:
        seen: dict[tuple[str, int], str] = {}
        while not over.wait(_LOOK_EVERY_S):
            for task in tasks:
                _pass_on(folder, task.key, fits, seen)

    thread = Thread(target=follow, name="genrestack-fits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _pass_on(folder: Path, key: tuple[str, int], fits: Fits, seen: dict[tuple[str, int], Any]) -> None:
    try:
        news = _news_file(folder, key).read_text(encoding="ascii")
    except OSError:
        return
    if key not in seen:
        fits.begin(key)
    if news != seen.get(key, "") and len(numbers := news.split()) == 2:
        fits.epoch(key, int(numbers[0]), int(numbers[1]))
    seen[key] = news
