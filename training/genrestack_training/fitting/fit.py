"""Fit a stack: plan, run, keep, put together."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import StackingClassifier
from sklearn.preprocessing import LabelEncoder

from genrestack_training.fitting.engines import Codes, Engine, Rows, choose_engine
from genrestack_training.fitting.progress import FitTracker, NullProgress, Progress
from genrestack_training.fitting.replay import replayed
from genrestack_training.fitting.store import FitStore, data_key
from genrestack_training.fitting.tasks import FitTask, Fitted, plan_fits

FitKey = tuple[str, int]


def fit_stack(
    stack: StackingClassifier,
    rows: npt.NDArray[np.float64],
    labels: npt.NDArray[np.str_],
    *,
    progress: Progress | None = None,
    engine: Engine | None = None,
    jobs: int | None = None,
    store: FitStore | None = None,
) -> dict[FitKey, Fitted]:
    """Fit a stack in place, as its own `fit` would, with its base estimators' fits run by an engine.

    Args:
        stack: unfitted; every base estimator has `predict_proba`.
        rows: scaled rows, shape (n, f).
        labels: shape (n,).
        progress: told of every fit and epoch.
        engine: where to fit; None chooses by `jobs` and the amount of work.
        jobs: fits at once; None: as many as there are CPUs, if the work is long enough for that.
        store: keeps finished fits, and gives those it already has.

    Returns:
        Every base fit by part and fold; the folds' probabilities are what the meta-learner was fitted on.

    Raises:
        RunError: a finished fit cannot be kept.

    """
    codes = LabelEncoder().fit_transform(labels)
    tasks = plan_fits(stack, rows, codes)
    engine = engine or choose_engine(jobs, tasks, len(rows))
    fits = FitTracker(tasks, stack, progress or NullProgress(), rows=len(rows), parallelism=engine.parallelism)
    done: dict[FitKey, Fitted] = {}
    for task, fitted in _kept(tasks, engine, rows, codes, fits, store):
        done[task.key] = fitted
    fits.begin_meta()
    with replayed(stack, done):
        stack.fit(rows, labels)
    fits.finish()
    return done


def _kept(
    tasks: Sequence[FitTask], engine: Engine, rows: Rows, codes: Codes, fits: FitTracker, store: FitStore | None
) -> Iterator[tuple[FitTask, Fitted]]:
    """Run what the store does not have, and let it keep what comes."""
    if store is None:
        yield from engine.run(tasks, rows, codes, fits)
        return
    data = data_key(rows, codes)
    # Before the fits: a fitted estimator's parameters may say more than an unfitted one's.
    keys = {task.key: store.key(task, data) for task in tasks}
    missing = []
    for task in tasks:
        fitted = store.get(keys[task.key])
        if fitted is None:
            missing.append(task)
        else:
            fits.skip(task.key)
            yield task, fitted
    yield from _storing(engine.run(missing, rows, codes, fits) if missing else (), keys, store)


def _storing(
    results: Iterable[tuple[FitTask, Fitted]], keys: dict[FitKey, str], store: FitStore
) -> Iterator[tuple[FitTask, Fitted]]:
    for task, fitted in results:
        store.put(keys[task.key], fitted)
        yield task, fitted
