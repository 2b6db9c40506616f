"""Compiled functions, librosa's and our own: compiled by one process at a time, once for all.

numba compiles functions and keeps them on the disk. Two processes that do so at the same time write over each
other, and what they leave crashes every process from then on (seen with numba 0.68 and librosa 0.11). So the first to
come compiles alone, in a folder of our own, and the others wait for it.
"""

import fcntl
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO

_FOLDER = "NUMBA_CACHE_DIR"
"""numba's own setting, read when numba is first imported; one that is set already is kept."""
FIRST_TIME = "the first time on this machine: compiling what librosa needs, some twenty seconds …"
"""For a person who would otherwise wonder."""


def pending() -> bool:
    """Return whether `prepare` would compile."""
    return "numba" not in sys.modules and not _done(_folder()).exists()


def prepare() -> None:
    """Compile what is not cached; the first time on a machine that takes some twenty seconds.

    Does nothing where numba has been imported before: its folder is chosen then.
    """
    if "numba" in sys.modules:
        return
    folder = _folder()
    os.environ[_FOLDER] = str(folder)
    done = _done(folder)
    if done.exists():
        return
    with (folder / "lock").open("w") as lock, _alone(lock):
        if not done.exists():
            _compile()
            done.touch()


def _folder() -> Path:
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = Path(os.environ.get(_FOLDER) or home / "genrestack" / "numba" / _key())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except (OSError, RuntimeError):
        # A container without a home that can be written: each process compiles for itself.
        folder = Path(tempfile.mkdtemp(prefix="genrestack-numba-"))
        os.environ[_FOLDER] = str(folder)
    return folder


def _done(folder: Path) -> Path:
    return folder / f"complete-{_key()}"


@cache
def _key() -> str:
    """Return a key for what numba compiles for: this installation of librosa and of ours, this Python, this processor.

    numba looks its files up by the source's path, size and date, and recompiles where one differs. A folder that is
    complete for one virtual environment is empty for the next.
    """
    found = find_spec("librosa")
    source = Path(found.origin) if found and found.origin else Path()
    ours = Path(__file__).with_name("median.py")
    facts = [
        *(f"{path} {path.stat().st_mtime_ns}" for path in (source, ours)),
        sys.version,
        *(version(name) for name in ("librosa", "numba", "numpy")),
        *_processor(),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _processor() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [platform.machine()]
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})


@contextmanager
def _alone(lock: IO[str]) -> Iterator[None]:
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _compile() -> None:
    """Use everything once that this package uses of librosa, and what it compiles itself."""
    import numpy as np

    from genrestack_audio.features.extract import features_of
    from genrestack_audio.features.median import running_median
    from genrestack_audio.features.reference import extract_with_librosa

    noise = np.random.default_rng(0).normal(scale=0.1, size=66_149).astype(np.float32)
    features_of(noise)
    extract_with_librosa(noise)
    running_median(np.zeros((2, 2)), 1)
