"""Import TensorFlow without its start-up chatter."""

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from genrestack_training.errors import TrainingError
from genrestack_training.processor import ADVICE, LACKS_AVX, lacks_avx


def import_tensorflow() -> None:
    """Import TensorFlow, Keras and scikeras; what they print on the way is shown only if that fails.

    TensorFlow writes to the process's stderr before its own log level is read, so an environment variable alone
    does not keep it quiet.

    Raises:
        ModuleNotFoundError: one of them is not installed.
        TrainingError: this processor cannot run TensorFlow.

    """
    if "tensorflow" in sys.modules and "scikeras" in sys.modules:
        return
    if lacks_avx():
        raise TrainingError(f"{LACKS_AVX}; {ADVICE}")
    chatter_wanted = "TF_CPP_MIN_LOG_LEVEL" in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _stderr_held_back():
        for name in ("tensorflow", "keras", "scikeras.wrappers"):
            importlib.import_module(name)
    if not chatter_wanted:
        # Every fold builds a network of its own, and TensorFlow logs advice against that.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keep what is written to file descriptor 2 aside; write it out after all if the block raises."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
