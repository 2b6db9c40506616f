"""Import TensorFlow: without its start-up chatter, and not at all on a processor that it would die on."""

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Final

from genrestack_common.stderr import stderr_held_back
from genrestack_training.errors import TrainingError

CPUINFO: Final = Path("/proc/cpuinfo")
LACKS_AVX: Final = "this processor has no AVX, without which TensorFlow cannot run"
ADVICE: Final = "train on another machine; the bundle is served on this one too"


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
    with stderr_held_back():
        for name in ("tensorflow", "keras", "scikeras.wrappers"):
            importlib.import_module(name)
    if not chatter_wanted:
        # Every fold builds a network of its own, and TensorFlow logs advice against that.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def lacks_avx(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether this is an x86-64 processor without AVX; False where that is not known."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    # Processors of other kinds have lines of other names.
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    return flags is not None and "avx" not in flags
