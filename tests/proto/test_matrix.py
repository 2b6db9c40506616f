"""Matrices survive the wire in both forms, and a matrix that contradicts itself is named."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genrestack_proto.matrix import MatrixError, from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import Matrix

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)


@given(hnp.arrays(np.float32, SHAPES), st.booleans())
def test_every_float32_survives_bit_for_bit(array: npt.NDArray[np.float32], as_values: bool) -> None:
    sent = Matrix.FromString(to_matrix(array, as_values=as_values).SerializeToString())
    back = from_matrix(sent)
    assert back.dtype == np.float32
    assert back.shape == array.shape
    if as_values:
        # Python's float keeps every number and every NaN, though not which NaN it was.
        np.testing.assert_array_equal(back, array)
        np.testing.assert_array_equal(np.signbit(back[back == 0]), np.signbit(array[array == 0]))
    else:
        assert back.tobytes() == array.tobytes()


@given(hnp.arrays(np.float64, SHAPES, elements=st.floats(-1e30, 1e30)))
def test_doubles_are_rounded_as_numpy_rounds(array: npt.NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(from_matrix(to_matrix(array)), array.astype(np.float32))


@pytest.mark.parametrize("view", [np.s_[::2], np.s_[:, ::-1], np.s_[1:3, 1:2]])
def test_views_are_packed_row_by_row(view: Any) -> None:
    array = np.arange(24, dtype=np.float32).reshape(6, 4)
    cut = array[view]
    np.testing.assert_array_equal(from_matrix(to_matrix(cut)), cut)
    np.testing.assert_array_equal(from_matrix(to_matrix(np.asfortranarray(cut))), cut)


def test_raw_bytes_are_little_endian_in_row_order() -> None:
    assert to_matrix(np.array([[1.0], [-2.0]])).raw == bytes.fromhex("0000803f 000000c0")


def test_no_rows_and_no_columns_are_matrices_too() -> None:
    assert from_matrix(to_matrix(np.empty((0, 5)))).shape == (0, 5)
    assert from_matrix(to_matrix(np.empty((5, 0)), as_values=True)).shape == (5, 0)


@pytest.mark.parametrize(
    ("matrix", "field", "message"),
    [
        (Matrix(), "shape", "two numbers"),
        (Matrix(shape=[4], raw=bytes(16)), "shape", "has 1"),
        (Matrix(shape=[1, 2, 2], raw=bytes(16)), "shape", "has 3"),
        (Matrix(shape=[2, 2], raw=bytes(15)), "raw", "16 bytes of float32, but 15 came"),
        (Matrix(shape=[2, 2]), "raw", "but 0 came"),
        (Matrix(shape=[2, 2], values=[1, 2, 3]), "values", "4 values, but 3 came"),
        (Matrix(shape=[1, 1], values=[1], raw=bytes(4)), "values", "one of the two"),
        (Matrix(shape=[2**32 - 1, 2**32 - 1], raw=bytes(4)), "raw", "but 4 came"),
        (Matrix(shape=[2**32 - 1, 2**32 - 1], values=[1]), "values", "but 1 came"),
    ],
)
def test_a_contradiction_names_its_field(matrix: Matrix, field: str, message: str) -> None:
    with pytest.raises(MatrixError, match=message) as caught:
        from_matrix(matrix)
    assert caught.value.field == field
