"""Matrices on the wire: numpy arrays to `genrestack.v1.Matrix` and back, without per-value work in Python."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genrestack_proto.v1.prediction_pb2 import Matrix

FloatMatrix = npt.NDArray[np.float32]

_WIRE = np.dtype("<f4")


class MatrixError(ValueError):
    """A `Matrix` that contradicts itself.

    Attributes:
        field: the field of `Matrix` at fault: `shape`, `raw` or `values`.

    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def to_matrix(array: npt.NDArray[np.floating], *, as_values: bool = False) -> Matrix:
    """Pack an array of shape (rows, columns) as float32, as `raw` bytes or, for generic tools, as `values`."""
    packed = np.ascontiguousarray(array, dtype=_WIRE)
    if as_values:
        return Matrix(shape=packed.shape, values=packed.ravel().tolist())
    return Matrix(shape=packed.shape, raw=packed.tobytes())


def from_matrix(matrix: Matrix) -> FloatMatrix:
    """Unpack a `Matrix` to float32 of shape (rows, columns); read-only where it came as bytes.

    Raises:
        MatrixError: the shape is not two numbers, does not match the data, or the data came in two forms or none.

    """
    rows, columns = _shape(matrix.shape)
    count = rows * columns
    if matrix.raw and matrix.values:
        raise MatrixError("values", "rows came as raw bytes and as values; send one of the two")
    if matrix.values:
        if len(matrix.values) != count:
            raise MatrixError(
                "values", f"shape ({rows}, {columns}) means {count} values, but {len(matrix.values)} came"
            )
        return np.fromiter(matrix.values, dtype=np.float32, count=count).reshape(rows, columns)
    if len(matrix.raw) != count * _WIRE.itemsize:
        raise MatrixError(
            "raw",
            f"shape ({rows}, {columns}) means {count * _WIRE.itemsize} bytes of float32, but {len(matrix.raw)} came",
        )
    return np.frombuffer(matrix.raw, dtype=_WIRE).reshape(rows, columns)


def _shape(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise MatrixError("shape", f"shape needs two numbers, (rows, columns), but has {len(shape)}")
    return shape[0], shape[1]
