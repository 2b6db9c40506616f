"""One measurement in a process of its own: `python -m benchmarks.growth.measurement REQUEST`, JSON in, JSON out."""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.reporting.memory import peak_memory

SPREAD: Final = 0.1
"""How far a made value lies from its row's at most, in standard deviations of the feature over the training rows."""
_SEED: Final = 42
_MB: Final = 1e6

Rows = npt.NDArray[np.float64]
Labels = npt.NDArray[np.str_]


def grow(rows: Rows, labels: Labels, times: int) -> tuple[Rows, Labels]:
    """Make a table larger: the rows themselves, then copies of all of them with bounded noise.

    Args:
        rows: shape (n, f).
        labels: shape (n,); a copy keeps its row's.
        times: how many times as many rows, 1 or more.

    Returns:
        Rows of shape (n × times, f) and their labels.

    """
    random = np.random.default_rng(_SEED)
    spread = SPREAD * rows.std(axis=0)
    copies = [rows + random.uniform(-1, 1, rows.shape) * spread for _ in range(times - 1)]
    return np.vstack([rows, *copies]), np.tile(labels, times)


def measure(part: str, table: Path, times: int, only_rows: int | None) -> dict[str, Any]:
    """Fit a part on a grown table and let it answer the held-out rows.

    Args:
        part: "knn", "svc" or "mlp", each fitted once; "stack": the whole, its folds included.
        table: the table at 1×.
        times: how many times as many training rows as there are.
        only_rows: how many of the table's rows, for trying; None: all.

    """
    training, training_labels, test, test_labels = _split(table, only_rows)
    rows, labels = grow(training, training_labels, times)
    fit = _fitting(part, rows, labels)
    with peak_memory() as peak:
        fit_seconds, predict = _timed(fit)
        predict_seconds, answers = _timed(lambda: predict(test))
    return {
        "part": part,
        "times": times,
        "rows": len(rows),
        "fit_seconds": fit_seconds,
        "predict_rows": len(test),
        "predict_seconds": predict_seconds,
        "peak_mb": peak() / _MB,
        "accuracy": float(np.mean(answers == test_labels)),
    }


def _split(table: Path, only_rows: int | None) -> tuple[Rows, Labels, Rows, Labels]:
    """Hold back a fifth of a table and scale the rest to 0 … 1, and the fifth with it."""
    from sklearn.model_selection import train_test_split

    from genrestack_training import build_scaler, load_table, resolve_settings

    loaded = load_table(table)
    rows, labels = loaded.features, np.asarray(loaded.labels)
    if only_rows is not None:
        rows, _, labels, _ = train_test_split(rows, labels, train_size=only_rows, stratify=labels, random_state=_SEED)
    training, test, training_labels, test_labels = train_test_split(
        rows, labels, test_size=0.2, stratify=labels, random_state=_SEED
    )
    scaler = build_scaler(resolve_settings("notebook"))
    assert scaler is not None
    return scaler.fit_transform(training), training_labels, scaler.transform(test), test_labels


def _fitting(part: str, rows: Rows, labels: Labels) -> Callable[[], Callable[[Rows], Labels]]:
    """Prepare a fit, which gives what predicts labels."""
    from genrestack_training import build_stack
    from genrestack_training.fitting import fit_stack

    stack = build_stack("notebook", seed=_SEED)
    if part == "stack":

        def whole() -> Callable[[Rows], Labels]:
            fit_stack(stack, rows, labels)
            return stack.predict  # type: ignore[no-any-return]  # scikit-learn has no types

        return whole
    classes, codes = np.unique(labels, return_inverse=True)
    estimator = dict(stack.estimators)[part]
    return lambda: _of_labels(estimator.fit(rows, codes), classes)


def _of_labels(fitted: Any, classes: Labels) -> Callable[[Rows], Labels]:
    # As the stack asks its parts: for probabilities.
    return lambda rows: np.asarray(classes[np.argmax(fitted.predict_proba(rows), axis=1)])


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.monotonic()
    answer = call()
    return time.monotonic() - begun, answer


def main() -> None:
    """Measure what the command line asks for."""
    request = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    print(json.dumps(measure(request["part"], Path(request["table"]), request["times"], request["only_rows"])))


if __name__ == "__main__":
    main()
