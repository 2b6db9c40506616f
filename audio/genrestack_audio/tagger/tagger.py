"""The converted tagger: where its file is, and how it is run."""

import hashlib
import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from genrestack_audio.errors import AudioError
from genrestack_audio.tagger.recipe import FRAMES, MELS, TAG_NAMES
from genrestack_common.files import UnreadableFileError, read_bytes

VARIABLE: Final = "GENRESTACK_TAGGER"
"""Environment variable with the path of the tagger's file."""
HOW_TO: Final = "pip install --no-deps musicnn==0.1.0, then python -m genrestack_audio.tagger"
"""What makes the file."""
_INPUT, _OUTPUT = "mel", "tags"
_LARGEST: Final = 64 * 2**20
"""Bytes; the file has 3 million."""


class Tagger:
    """A tagger that is ready to run."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def tags(self, samples: np.ndarray) -> np.ndarray:
        """Compute the probability of each tag, the mean over the patches of a piece of sound.

        Args:
            samples: float32, shape (n,), finite; mono at 22,050 Hz.

        Returns:
            float64, shape (50,); in the order of `TAG_NAMES`.

        Raises:
            AudioError: the sound is shorter than one patch.

        """
        from genrestack_audio.tagger.mel import patches

        answers = [self._session.run([_OUTPUT], {_INPUT: patch[None]})[0][0] for patch in patches(samples)]
        return np.asarray(np.mean(answers, axis=0, dtype=np.float64))


def default_path() -> Path:
    """Return where the conversion puts the tagger's file, and where it is looked for."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "genrestack" / "tagger" / "musicnn.onnx"


def find_tagger(path: Path | None = None) -> tuple[Path, str]:
    """Return the path of the tagger's file and the hex digest of what is in it, once it is known to run.

    Args:
        path: the file; None: `default_path()`.

    Raises:
        AudioError: there is no such file, it is not a tagger, or the library that runs it is missing.

    """
    path = path or default_path()
    sha256 = hashlib.sha256(_content(path)).hexdigest()
    open_tagger(path, sha256)
    return path, sha256


@lru_cache(maxsize=1)
def open_tagger(path: Path, sha256: str) -> Tagger:
    """Load the tagger's file.

    Args:
        path: the file.
        sha256: hex digest of what has to be in it.

    Raises:
        AudioError: the file is gone or another, or the library that runs it is missing.

    """
    content = _content(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise AudioError(f"{path}: the tagger's file has changed meanwhile; start again")
    return Tagger(_session(path, content))


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise AudioError(f"{path}: is too large for the tagger; make it with {HOW_TO}")
        return read_bytes(path, _LARGEST)
    except FileNotFoundError as error:
        raise AudioError(f"{path}: the tagger is not there; make it with {HOW_TO}") from error
    except OSError as error:
        raise AudioError(f"{path}: the tagger cannot be read: {error.strerror}; check the path") from error
    except UnreadableFileError as error:
        raise AudioError(f"the tagger: {error}") from error


def _session(path: Path, content: bytes) -> Any:
    if find_spec("onnxruntime") is None:
        raise AudioError('tags need: pip install "genrestack[tags]"')
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread: recordings are computed at once, and values do not depend on how many.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (answer,) = session.run([_OUTPUT], {_INPUT: np.zeros((1, FRAMES, MELS), dtype=np.float32)})
    # The library's errors have no base of their own.
    except Exception as error:
        raise AudioError(f"{path}: is not the tagger; make it with {HOW_TO}") from error
    if answer.shape != (1, len(TAG_NAMES)):
        raise AudioError(f"{path}: is not the tagger; make it with {HOW_TO}")
    return session
