"""Finished fits on disk, so that an interrupted training resumes where it stopped."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Final

import joblib
import numpy as np
import numpy.typing as npt

from genrestack_training.errors import RunError
from genrestack_training.fitting.tasks import FitTask, Fitted
from genrestack_training.folders.private import private_folder, trusted_file
from genrestack_training.folders.unfinished import PARTIAL, make_private

# Raised when the same parameters come to fit something else.
_REVISION: Final = 2
_LIBRARIES: Final = ("numpy", "scikit-learn", "scipy", "keras", "scikeras", "tensorflow")


class FitStore:
    """A folder of finished fits, each under a key of its data, its parameters and the libraries' versions.

    Fits are pickles, which run code when they are read: the folder is this user's own, mode 0700, and asked for its
    owner and mode each time.
    """

    def __init__(self, folder: Path) -> None:
        """Create the folder, or use the existing one.

        Raises:
            RunError: it cannot be made, or is not this user's own.

        """
        self.folder = folder
        self._used: set[Path] = set()
        with self._opened():
            pass

    def key(self, task: FitTask, data: str) -> str:
        """Return the key of a fit: two fits of one key are the same fit.

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
        """Load a finished fit; None where there is none, or none that can be read.

        Raises:
            RunError: the folder is not, or no longer, this user's own.

        """
        path = self._path(key)
        self._used.add(path)
        with self._opened() as folder:
            # Whatever is wrong with a file that a crash left behind, the remedy is to fit again.
            try:
                with trusted_file(folder, path) as file:
                    fitted = joblib.load(file)
            except Exception:  # noqa: BLE001 - unpickling may raise anything
                return None
        return fitted if isinstance(fitted, Fitted) else None

    def put(self, key: str, fitted: Fitted) -> None:
        """Write a finished fit, whole or not at all.

        Raises:
            RunError: the folder cannot be written, or is not this user's own.

        """
        path = self._path(key)
        self._used.add(path)
        with self._opened() as folder:
            aside = f"{PARTIAL}{secrets.token_hex(8)}"
            try:
                with _new_file(folder, aside) as file:
                    joblib.dump(fitted, file)
                os.rename(aside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(aside, dir_fd=folder)

    def remove_used(self) -> None:
        """Remove the fits that this training used, once its run is written."""
        for path in self._used:
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            make_private(self.folder)
            with private_folder(self.folder) as folder:
                yield folder
        except OSError as error:
            raise RunError(
                f"finished fits cannot be kept in {self.folder}: {error.strerror}; make room or name another folder"
            ) from error

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.joblib"


@contextlib.contextmanager
def _new_file(folder: int, name: str) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:  # noqa: PTH123 - in an open folder
        yield file


def data_key(rows: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> str:
    """Return the SHA-256 of rows and labels, in hexadecimal."""
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
    """Return the versions of the libraries that decide what a fit gives."""
    return ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
