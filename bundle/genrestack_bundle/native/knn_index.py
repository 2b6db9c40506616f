"""The k-nearest-neighbours index by itself, without onnxruntime: for tests and benchmarks."""

import ctypes
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from genrestack_bundle.native.library import LIBRARY, load_library

_ERRORS: Final = {
    1: "points, labels and numbers do not fit together",
    2: "there is not enough memory",
    3: "this processor does not have these instructions",
}
_DOUBLES: Final = ctypes.POINTER(ctypes.c_double)


class _Shape(ctypes.Structure):
    _fields_ = [
        ("points", ctypes.c_size_t),
        ("features", ctypes.c_size_t),
        ("neighbors", ctypes.c_size_t),
        ("classes", ctypes.c_size_t),
        ("p", ctypes.c_int),
        ("by_distance", ctypes.c_int),
    ]


class KnnIndex:
    """Training points that can be searched; a context manager."""

    def __init__(
        self,
        points: npt.NDArray[np.float64],
        labels: npt.NDArray[np.int64],
        *,
        neighbors: int,
        classes: int,
        p: int,
        by_distance: bool,
        instructions: str | None = None,
        library: Path = LIBRARY,
    ) -> None:
        """Build the index; `instructions` is one of `instruction_sets()`, None: the best.

        Raises:
            OSError: the library cannot be loaded.
            ValueError: the arguments do not fit together.
            MemoryError: there is not enough.

        """
        self._library = load_library(library)
        self._points = np.ascontiguousarray(points, dtype=np.float64)
        own_labels = np.ascontiguousarray(labels, dtype=np.int64)
        if self._points.ndim != 2 or own_labels.shape != self._points.shape[:1]:
            raise ValueError(_ERRORS[1])
        self._classes = classes
        self._handle = ctypes.c_void_p()
        shape = _Shape(*self._points.shape, neighbors, classes, p, by_distance)
        name = None if instructions is None else instructions.encode()
        created = self._library.genrestack_knn_create(
            ctypes.byref(self._handle), ctypes.byref(shape), self._points.ctypes.data_as(_DOUBLES),
            own_labels.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)), name,
        )  # fmt: skip
        _check(created)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.genrestack_knn_free(self._handle)
        self._handle = ctypes.c_void_p()

    def predict_proba(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Answer rows, of shape (n, f); may be called from several threads at once."""
        own = np.ascontiguousarray(rows, dtype=np.float64)
        if own.ndim != 2 or own.shape[1] != self._points.shape[1]:
            raise ValueError(_ERRORS[1])
        answer = np.empty((len(own), self._classes))
        answered = self._library.genrestack_knn_answer(
            self._handle, self._points.ctypes.data_as(_DOUBLES), own.ctypes.data_as(_DOUBLES),
            ctypes.c_size_t(len(own)), answer.ctypes.data_as(_DOUBLES),
        )  # fmt: skip
        _check(answered)
        return answer

    @property
    def exact_distances(self) -> int:
        """How many distances were computed in float64 after scores had chosen them."""
        count = self._library.genrestack_knn_exact_distances
        count.restype = ctypes.c_uint64
        return int(count(self._handle))


def _check(error: int) -> None:
    if error == 2:
        raise MemoryError(_ERRORS[error])
    if error:
        raise ValueError(_ERRORS[error])
