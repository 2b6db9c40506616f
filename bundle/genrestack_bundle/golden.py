"""Golden rows: raw rows and what the original estimator answered for them, in float64."""

import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.errors import BundleError
from genrestack_bundle.layout import GOLDEN, MAX_FILES, MAX_GOLDEN_BYTES, MAX_GOLDEN_ROWS
from genrestack_bundle.neighbors import MAX_NEIGHBORS, FoundNeighbors

_PREFIX = "part."
_ROWS, _DISTANCES, _LABELS = "neighbors.rows", "neighbors.distances", "neighbors.labels"
_NOVELTY = "neighbors.novelty"
_ENTRY = b"PK\1\2"
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# What zipfile, its decompressors and numpy's parser of headers are known to raise on files made to hurt.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
)


@dataclass(frozen=True)
class Golden:
    """Rows to verify a composed graph with."""

    rows: npt.NDArray[np.float32]
    """Unscaled features as they travel, shape (n, f); NaN where a value is missing."""
    class_index: npt.NDArray[np.int64]
    """Column of the original's predicted class, shape (n,)."""
    probabilities: npt.NDArray[np.float64]
    """The whole stack's probabilities, shape (n, k)."""
    parts: Mapping[str, npt.NDArray[np.float64]]
    """Each base estimator's probabilities, shape (n, k), by its name in the stack."""
    neighbors: FoundNeighbors | None = None
    """The nearest training rows, where the bundle finds them."""

    def take(self, index: npt.NDArray[np.int64] | slice) -> "Golden":
        """Select some of the rows."""
        return Golden(
            self.rows[index],
            self.class_index[index],
            self.probabilities[index],
            {name: p[index] for name, p in self.parts.items()},
            None if self.neighbors is None else self.neighbors.take(index),
        )


def pack(golden: Golden) -> bytes:
    """Write golden rows in numpy's .npz form."""
    buffer = io.BytesIO()
    parts: dict[str, npt.NDArray[Any]] = {
        _PREFIX + name.encode().hex(): np.ascontiguousarray(p, np.float64) for name, p in golden.parts.items()
    }
    if golden.neighbors is not None:
        found = golden.neighbors
        parts |= {_ROWS: found.rows, _DISTANCES: found.distances, _LABELS: found.labels}
        parts |= {} if found.novelty is None else {_NOVELTY: found.novelty}
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        rows=np.ascontiguousarray(golden.rows, np.float32),
        class_index=np.ascontiguousarray(golden.class_index, np.int64),
        probabilities=np.ascontiguousarray(golden.probabilities, np.float64),
        **parts,
    )
    return buffer.getvalue()


def unpack(data: bytes) -> Golden:
    """Read golden rows; nothing pickled is accepted and the unpacked size is bounded before reading.

    Raises:
        BundleError: the file is damaged, too large, or does not hold what it should.

    """
    # Each entry stands in the archive's directory behind this mark, and becomes an object of half a KiB.
    if data.count(_ENTRY) > MAX_FILES:
        raise BundleError(f"{GOLDEN} holds more than {MAX_FILES} arrays; export the model again")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_GOLDEN_BYTES:
                raise BundleError(f"{GOLDEN} unpacks to more than {MAX_GOLDEN_BYTES} bytes; export the model again")
            if any(entry.compress_type not in _COMPRESSIONS for entry in entries):
                raise ValueError("compressed otherwise than numpy does")
            arrays = {entry.filename.removesuffix(".npy"): _unpacked(archive, entry) for entry in entries}
            if len(arrays) < len(entries):
                raise ValueError("two arrays of one name")
        golden = Golden(
            rows=_array(arrays["rows"], np.float32),
            class_index=_array(arrays["class_index"], np.int64),
            probabilities=_array(arrays["probabilities"], np.float64),
            parts={
                bytes.fromhex(key.removeprefix(_PREFIX)).decode(): _array(packed, np.float64)
                for key, packed in arrays.items()
                if key.startswith(_PREFIX)
            },
            neighbors=_neighbors(arrays) if _ROWS in arrays else None,
        )
    except _DAMAGE as error:
        raise BundleError(f"{GOLDEN} cannot be read; export the model again") from error
    _check_shapes(golden)
    return golden


def _neighbors(arrays: Mapping[str, bytes]) -> FoundNeighbors:
    return FoundNeighbors(
        _array(arrays[_ROWS], np.int64),
        _array(arrays[_DISTANCES], np.float64),
        _array(arrays[_LABELS], np.int64),
        novelty=_array(arrays[_NOVELTY], np.float64) if _NOVELTY in arrays else None,
    )


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # Without a bound, zipfile unpacks up to 2 GiB at a time before it compares that with the size announced. The byte
    # more has it find the end, and there the checksum.
    with archive.open(entry) as file:
        return file.read(entry.file_size + 1)


def _array(packed: bytes, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Read one .npy; its header is compared with the bytes there are before anything is made of it."""
    stream = io.BytesIO(packed)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another version of .npy")
    shape, by_column, found = np.lib.format.read_array_header_1_0(stream)
    if found != np.dtype(dtype) or (by_column and len(shape) > 1) or any(n < 0 for n in shape):
        raise ValueError("another element type or order")
    if math.prod(shape) * found.itemsize != len(packed) - stream.tell():
        raise ValueError("another shape than its bytes have")
    return np.frombuffer(packed, dtype=found, offset=stream.tell()).reshape(shape).copy()


def _check_shapes(golden: Golden) -> None:
    rows = golden.rows.shape[0] if golden.rows.ndim == 2 else 0
    tables = (golden.probabilities, *golden.parts.values())
    fits = rows > 0 and golden.class_index.shape == (rows,) and golden.probabilities.ndim == 2
    if not fits or any(table.shape != golden.probabilities.shape or table.shape[0] != rows for table in tables):
        raise BundleError(f"{GOLDEN} holds arrays that do not fit together; export the model again")
    if golden.neighbors is not None:
        _check_neighbors(golden.neighbors, rows)
    if rows > MAX_GOLDEN_ROWS:
        raise BundleError(f"{GOLDEN} holds {rows} rows, more than the {MAX_GOLDEN_ROWS} a bundle may hold")
    if np.isinf(golden.rows).any() or not all(np.isfinite(table).all() for table in tables):
        raise BundleError(f"{GOLDEN} holds values that are not finite numbers; export the model again")
    if golden.class_index.min() < 0 or golden.class_index.max() >= golden.probabilities.shape[1]:
        raise BundleError(f"{GOLDEN} names classes that it has no probabilities for; export the model again")


def _check_neighbors(found: FoundNeighbors, rows: int) -> None:
    shape = found.rows.shape
    if len(shape) != 2 or shape[0] != rows or not 0 < shape[1] <= MAX_NEIGHBORS:
        raise BundleError(f"{GOLDEN} holds arrays that do not fit together; export the model again")
    if found.novelty is not None and (found.novelty.shape != (rows,) or not np.isfinite(found.novelty).all()):
        raise BundleError(f"{GOLDEN} holds arrays that do not fit together; export the model again")
    if found.distances.shape != shape or found.labels.shape != shape or not np.isfinite(found.distances).all():
        raise BundleError(f"{GOLDEN} holds arrays that do not fit together; export the model again")
