"""Finished fits on disk, so that a training that was interrupted goes on where it stopped."""

import contextlib
import hashlib
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import numpy.typing as npt

from genrestack_training.errors import RunError
from genrestack_training.fitting.tasks import FitTask, Fitted

# Raised when the same parameters come to fit something else.
_REVISION: Final = 1
_LIBRARIES: Final = ("numpy", "scikit-learn", "scipy", "keras", "scikeras", "tensorflow")


class FitStore:
    """A folder of finished fits, each under a key of its data, its parameters and the libraries' versions.

    Fits are pickles: the folder is this program's own, next to the runs it writes, and is to be trusted as they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[Path] = set()

    def key(self, task: FitTask, data: str) -> str:
        """Name a fit: two fits of one name are the same fit.

        Args:
            task: an unfitted task.
            data: what `data_key` says of the rows and labels.

        """
        digest = hashlib.sha256()
        digest.update(f"{_REVISION}\n{data}\n{_described(task.estimator)}\n{library_versions()}\n".encode())
        for numbers in (task.training, task.test):
            digest.update(b"all" if numbers is None else np.ascontiguousarray(numbers, np.int64).tobytes())
            digest.update(b"\n")
        return digest.hexdigest()

    def get(self, key: str) -> Fitted | None:
        """Fetch a finished fit; None where there is none, or none that can be read."""
        path = self._path(key)
        self._used.add(path)
        # Whatever is wrong with a file that a crash left behind, the remedy is to fit again.
        try:
            fitted = joblib.load(path)
        except Exception:  # noqa: BLE001 - unpickling may raise anything
            return None
        return fitted if isinstance(fitted, Fitted) else None

    def put(self, key: str, fitted: Fitted) -> None:
        """Keep a finished fit, whole or not at all.

        Raises:
            RunError: the folder cannot be written.

        """
        path = self._path(key)
        self._used.add(path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self.folder, prefix=".part-")
            os.close(handle)
            try:
                joblib.dump(fitted, aside)
                Path(aside).replace(path)
            finally:
                Path(aside).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(
                f"finished fits cannot be kept in {self.folder}: {error.strerror}; make room or name another folder"
            ) from error

    def forget(self) -> None:
        """Remove the fits that this training used, once its run is written."""
        for path in self._used:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.joblib"


def data_key(rows: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> str:
    """Give a sha256 of rows and labels, in hexadecimal."""
    digest = hashlib.sha256(repr((rows.shape, rows.dtype.str, codes.dtype.str)).encode())
    digest.update(np.ascontiguousarray(rows).tobytes())
    digest.update(np.ascontiguousarray(codes).tobytes())
    return digest.hexdigest()


def _described(estimator: Any) -> str:
    kind = type(estimator)
    parameters = {name: _plain(value) for name, value in sorted(estimator.get_params(deep=True).items())}
    return f"{kind.__module__}.{kind.__qualname__} {parameters!r}"


def _plain(value: Any) -> Any:
    """Write a parameter without the address that `repr` puts into functions and objects."""
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return _described(value) if hasattr(value, "get_params") else value


def library_versions() -> str:
    """Name the versions of the libraries that decide what a fit gives."""
    return ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
