"""The pickled stack as its servers load it; runs in their environments, without any of ours."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

MODEL = "GENRESTACK_PEERS_MODEL"
"""The variable that says where the pickle is, to servers that have no place of their own for it."""


def load(path: str) -> Any:
    """Load the pipeline of scaler and stack, able to answer one row."""
    import joblib
    from scikeras.wrappers import KerasClassifier

    KerasClassifier.predict_proba = in_rows(KerasClassifier.predict_proba)
    return joblib.load(path)


def load_given() -> Any:
    """Load the pipeline that the variable names."""
    return load(os.environ[MODEL])


def in_rows(predict_proba: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the probabilities of one row in a row.

    scikeras 0.13 answers a single row with shape (k,), on which the stack around it raises ValueError.
    """

    def answer(estimator: Any, X: npt.NDArray[Any], **options: Any) -> npt.NDArray[Any]:
        return np.asarray(predict_proba(estimator, X, **options)).reshape(len(X), -1)

    return answer


def probabilities(pipeline: Any, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Answer raw rows, shape (n, f), as the stack was fitted: in double precision."""
    return np.asarray(pipeline.predict_proba(np.asarray(rows, np.float64)), np.float64)
