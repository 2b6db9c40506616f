"""Requests made before the load begins, so that making them takes none of its time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from genrestack._core.connection.options import ClientOptions
from genrestack._core.inputs.rows import Rows
from genrestack._core.invalid import invalid
from genrestack._core.request import ModelSpec, predict_request, rows_per_message
from genrestack.cli.tables.columns import batches, match_columns
from genrestack.cli.tables.table import open_table
from genrestack.model_info import FeatureInfo, ModelInfo

_DIFFERENT: Final = 64
"""Requests that differ from each other; then they begin again."""
_MOST_BYTES: Final = 256 * 2**20
_TABLE_ROWS: Final = 100_000
_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Payloads:
    """Requests in turn, ready to be sent."""

    requests: tuple[bytes, ...]
    sample: npt.NDArray[np.float32]
    """Rows of the first one; shape (rows, features)."""
    source: str
    """Where the rows are from, for a person."""

    @classmethod
    def of(cls, info: ModelInfo, rows: int, table: Path | None, options: ClientOptions, seed: int) -> "Payloads":
        """Pack `rows` rows a request, from a table or drawn from the ranges of the features that training saw.

        Raises:
            InvalidInput: a request of that many rows is over the limit on messages, or the table cannot be used.

        """
        limit = rows_per_message(Rows(np.zeros((1, len(info.features)), np.float32), ()), options)
        if rows > limit:
            raise invalid(
                "rows", f"is {rows:,}, and one message holds {limit:,} rows of this model at most; give fewer"
            )
        known = _from_table(table, info) if table is not None else _from_ranges(info, rows, seed)
        spec = ModelSpec.of(info.name, info.version)
        different = max(1, min(_DIFFERENT, _MOST_BYTES // (rows * known.shape[1] * 4)))
        blocks = list(islice(_blocks(known, rows), different))
        requests = tuple(predict_request(Rows(block, ()), spec).SerializeToString() for block in blocks)
        told = f"rows of {table}" if table is not None else "rows drawn evenly from the ranges that training saw"
        return cls(requests, blocks[0], told)


def _from_ranges(info: ModelInfo, rows: int, seed: int) -> npt.NDArray[np.float32]:
    ranges = np.array([_range(feature) for feature in info.features])
    # Halved: numpy takes the width of a range, which has to be finite.
    low, high = np.clip(ranges, -_LARGEST / 2, _LARGEST / 2).T
    count = min(rows * _DIFFERENT, max(rows, min(_TABLE_ROWS, _MOST_BYTES // (8 * len(low)))))
    return np.random.default_rng(seed).uniform(low, high, (count, len(low))).astype(np.float32)


def _range(feature: FeatureInfo) -> tuple[float, float]:
    low = 0.0 if feature.seen_min is None else feature.seen_min
    high = 1.0 if feature.seen_max is None else feature.seen_max
    return min(low, high), max(low, high)


def _from_table(path: Path, info: ModelInfo) -> npt.NDArray[np.float32]:
    with open_table(path, 1024) as table:
        columns = match_columns(table, info.feature_names, "label")
        blocks = [batch.rows for batch in islice(batches(table, columns), _TABLE_ROWS // 1024)]
    return np.concatenate(blocks).astype(np.float32)


def _blocks(known: npt.NDArray[np.float32], rows: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield blocks of `rows` rows, endlessly, going round where the rows end."""
    first = 0
    while True:
        yield known[np.arange(first, first + rows) % len(known)]
        first = (first + rows) % len(known)
