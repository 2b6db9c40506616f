"""Fitting a stack: its fits planned as tasks, run by an engine, kept on disk if asked, and put together again.

plan_fits ──▶ engine (in process, processes, Ray) ──▶ replay into the stack's own `fit`
"""

from genrestack_training.fitting.backends import check_backend, open_backend
from genrestack_training.fitting.engines import Engine, choose_engine
from genrestack_training.fitting.fit import fit_stack
from genrestack_training.fitting.store import FitStore
from genrestack_training.fitting.tasks import FitTask, Fitted, plan_fits, run_fit

__all__ = [
    "Engine",
    "FitStore",
    "FitTask",
    "Fitted",
    "check_backend",
    "choose_engine",
    "fit_stack",
    "open_backend",
    "plan_fits",
    "run_fit",
]
