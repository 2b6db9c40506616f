"""A fit in another process: on one thread, with its warnings recorded."""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from genrestack_training.fitting.tasks import Epochs, FitTask, Fitted, run_fit

CaughtWarning = tuple[Warning | str, type[Warning], str, int, str | None]
"""A warning: message, category, file name, line, module."""


@dataclass(frozen=True, eq=False)
class RemoteFit:
    """The result of a fit elsewhere, with its warnings."""

    fitted: Fitted
    warned: tuple[CaughtWarning, ...]


def fit_single_threaded(
    task: FitTask, rows: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], *, epochs: Epochs | None = None
) -> RemoteFit:
    """Fit on one thread and record the warnings; the arguments are those of `run_fit`."""
    with _single_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = run_fit(task, rows, codes, epochs=epochs)
    return RemoteFit(fitted, tuple(_picklable(each) for each in caught))


def replay_warnings(warned: Iterable[CaughtWarning]) -> None:
    """Replay another process's warnings, so that this process's filters decide."""
    for message, category, filename, line, module in warned:
        warnings.warn_explicit(message, category, filename, line, module)


def _picklable(caught: warnings.WarningMessage) -> CaughtWarning:
    modules = (name for name, module in sys.modules.items() if getattr(module, "__file__", None) == caught.filename)
    return caught.message, caught.category, caught.filename, caught.lineno, next(modules, None)


@contextmanager
def _single_thread() -> Iterator[None]:
    """Limit BLAS and OpenMP to one thread, and TensorFlow too if it has not computed anything yet."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    with threadpool_limits(1):
        yield
