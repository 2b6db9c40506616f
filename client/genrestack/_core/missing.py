"""Missing values among rows: which models take them in which columns, as far as a server has said."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from genrestack._core.request import ModelSpec
from genrestack._core.rows import Rows, cell_error, missing_fault
from genrestack.model_info import ModelInfo

_REPORTED: Final = 10
_MOST_KNOWN: Final = 64


class KnownModels:
    """Descriptions of models that take missing values; of any other a server is asked anew, it may have a newer one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], ModelInfo] = {}

    def note(self, spec: ModelSpec, info: ModelInfo) -> None:
        """Remember what a server said when it was asked for `spec`."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        for key in ((spec.model, spec.version), (info.name, info.version)):
            if info.missing_features:
                self._known[key] = info
            else:
                self._known.pop(key, None)

    def take(self, rows: Rows, spec: ModelSpec) -> bool:
        """Return whether rows may be sent: they have no gap, or the model is known to take each of them."""
        if rows.gaps is None:
            return True
        info = self._known.get((spec.model, spec.version))
        return info is not None and not _refused(rows, info.missing_features, info.feature_names).any()


def check_gaps(rows: Rows, info: ModelInfo) -> None:
    """Check that a model takes every gap in the rows.

    Raises:
        InvalidInput: it does not; the message names row (from 0) and feature.

    """
    refused = _refused(rows, info.missing_features, info.feature_names)
    if not refused.any():
        return
    bad_rows = np.flatnonzero(refused.any(axis=1))[:_REPORTED]
    bad = [(row, column) for row in bad_rows.tolist() for column in np.flatnonzero(refused[row])[:_REPORTED].tolist()]
    faults = [missing_fault(rows, row, column) for row, column in bad[:_REPORTED]]
    raise cell_error(faults, total=int(np.count_nonzero(refused)))


def _refused(rows: Rows, may_miss: Collection[str], features: Sequence[str]) -> np.ndarray:
    """Return the gaps in columns that may have none, bool of the rows' shape; without names, columns go by place."""
    if rows.gaps is None:
        return np.zeros(rows.matrix.shape, dtype=np.bool_)
    names = (rows.names or tuple(features))[: rows.matrix.shape[1]]
    allowed = np.zeros(rows.matrix.shape[1], dtype=np.bool_)
    allowed[: len(names)] = [name in may_miss for name in names]
    return np.asarray(rows.gaps & ~allowed)
