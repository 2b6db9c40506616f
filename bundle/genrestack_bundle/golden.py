"""Golden rows: raw rows and what the original estimator answered for them, in float64."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genrestack_bundle.errors import BundleError
from genrestack_bundle.layout import GOLDEN, MAX_GOLDEN_BYTES

_PREFIX = "part."


@dataclass(frozen=True)
class Golden:
    """Rows to prove a composed graph with."""

    rows: npt.NDArray[np.float32]
    """Unscaled features as they travel, shape (n, f)."""
    class_index: npt.NDArray[np.int64]
    """Column of the original's predicted class, shape (n,)."""
    probabilities: npt.NDArray[np.float64]
    """The whole stack's probabilities, shape (n, k)."""
    parts: Mapping[str, npt.NDArray[np.float64]]
    """Each base estimator's probabilities, shape (n, k), by its name in the stack."""

    def take(self, index: npt.NDArray[np.int64] | slice) -> "Golden":
        """Select some of the rows."""
        return Golden(
            self.rows[index],
            self.class_index[index],
            self.probabilities[index],
            {name: p[index] for name, p in self.parts.items()},
        )


def pack(golden: Golden) -> bytes:
    """Write golden rows in numpy's .npz form."""
    buffer = io.BytesIO()
    parts = {_PREFIX + name.encode().hex(): p for name, p in golden.parts.items()}
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        rows=golden.rows,
        class_index=golden.class_index,
        probabilities=golden.probabilities,
        **parts,
    )
    return buffer.getvalue()


def unpack(data: bytes) -> Golden:
    """Read golden rows; nothing pickled is accepted and the unpacked size is bounded before reading.

    Raises:
        BundleError: the file is damaged, too large, or does not hold what it should.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_GOLDEN_BYTES:
                raise BundleError(f"{GOLDEN} unpacks to more than {MAX_GOLDEN_BYTES} bytes; export the model again")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            golden = Golden(
                rows=np.asarray(arrays["rows"], dtype=np.float32),
                class_index=np.asarray(arrays["class_index"], dtype=np.int64),
                probabilities=np.asarray(arrays["probabilities"], dtype=np.float64),
                parts={
                    bytes.fromhex(key.removeprefix(_PREFIX)).decode(): np.asarray(arrays[key], dtype=np.float64)
                    for key in arrays.files
                    if key.startswith(_PREFIX)
                },
            )
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise BundleError(f"{GOLDEN} cannot be read; export the model again") from error
    _check_shapes(golden)
    return golden


def _check_shapes(golden: Golden) -> None:
    rows = golden.rows.shape[0] if golden.rows.ndim == 2 else 0
    tables = (golden.probabilities, *golden.parts.values())
    fits = rows > 0 and golden.class_index.shape == (rows,) and golden.probabilities.ndim == 2
    if not fits or any(table.shape != golden.probabilities.shape or table.shape[0] != rows for table in tables):
        raise BundleError(f"{GOLDEN} holds arrays that do not fit together; export the model again")
