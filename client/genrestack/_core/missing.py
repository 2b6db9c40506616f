"""Missing values among rows: which models take them in which columns, as far as a server has said."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from genrestack._core.request import ModelSpec
from genrestack._core.rows import REPORTED, Rows, cell_error, missing_fault
from genrestack.model_info import ModelInfo

_MOST_KNOWN: Final = 64


class KnownModels:
    """What a server last said of models: which columns they take, and in which of them missing values.

    There may be newer versions since: a model whose columns are refused is forgotten, and before a gap is refused, the
    server is asked anew.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], ModelInfo] = {}
        self._forgotten: set[tuple[str, int]] = set()
        """Models whose columns are to be asked for anew; what is taken without asking is still sent."""

    def note(self, spec: ModelSpec, info: ModelInfo) -> None:
        """Remember what a server said when it was asked for `spec`."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._forgotten.clear()
        for key in ((spec.model, spec.version), (info.name, info.version)):
            self._known[key] = info
            self._forgotten.discard(key)

    def find(self, spec: ModelSpec) -> ModelInfo | None:
        """Return the description of a model whose columns need not be asked for."""
        key = (spec.model, spec.version)
        return None if key in self._forgotten else self._known.get(key)

    def forget(self, spec: ModelSpec) -> bool:
        """Have a model's columns asked for anew; return whether they were known."""
        known = self.find(spec) is not None
        if known:
            self._forgotten.add((spec.model, spec.version))
        return known

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
    bad_rows = np.flatnonzero(refused.any(axis=1))[:REPORTED]
    bad = [(row, column) for row in bad_rows.tolist() for column in np.flatnonzero(refused[row])[:REPORTED].tolist()]
    faults = [missing_fault(rows, row, column) for row, column in bad[:REPORTED]]
    raise cell_error(faults, total=int(np.count_nonzero(refused)))


def _refused(rows: Rows, may_miss: Collection[str], features: Sequence[str]) -> np.ndarray:
    """Return the gaps in columns that may have none, bool of the rows' shape; without names, columns go by place."""
    if rows.gaps is None:
        return np.zeros(rows.matrix.shape, dtype=np.bool_)
    names = (rows.names or tuple(features))[: rows.matrix.shape[1]]
    allowed = np.zeros(rows.matrix.shape[1], dtype=np.bool_)
    allowed[: len(names)] = [name in may_miss for name in names]
    return np.asarray(rows.gaps & ~allowed)
