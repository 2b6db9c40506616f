"""What `genrestack doctor` reports of training: settings of Keras that keep TensorFlow from working.

A row is subject, `ok`, `note` or `problem`, what was found, and what to do about it.
"""

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from genrestack_training.models.tensorflow_import import ADVICE, LACKS_AVX, lacks_avx

Row = tuple[str, str, str, str]


def findings(models_dir: Path | None) -> Iterator[Row]:
    """Check what training needs beside its libraries; `models_dir` is for others."""
    del models_dir
    if find_spec("keras") is not None and find_spec("tensorflow") is not None:
        yield keras(os.environ)
        if lacks_avx():
            yield "processor", "problem", LACKS_AVX, ADVICE


def keras(environ: Mapping[str, str]) -> Row:
    """Check the variables that choose another Keras, or another engine for it."""
    backend = environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        return (
            "keras",
            "problem",
            f"KERAS_BACKEND is {backend}; networks are fitted by TensorFlow",
            "unset KERAS_BACKEND",
        )
    if environ.get("TF_USE_LEGACY_KERAS", "0").lower() in {"1", "true"}:
        return "keras", "problem", "TF_USE_LEGACY_KERAS asks for Keras 2", "unset TF_USE_LEGACY_KERAS"
    return "keras", "ok", "runs on TensorFlow", ""
