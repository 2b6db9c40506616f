"""Missing values in rows, compared with the columns in which a model takes them."""

import numpy as np

from genrestack._core.inputs.cells import ABSENT, NAN, cell_error, cell_fault, first_cells
from genrestack._core.inputs.rows import Rows
from genrestack.errors import Violation
from genrestack.model_info import ModelInfo


def check_gaps(rows: Rows, model: ModelInfo) -> None:
    """Check that a model takes every gap in the rows.

    Raises:
        InvalidInput: it does not; the message names row (from 0) and feature.

    """
    refused = refused_gaps(rows, model)
    if not refused.any():
        return
    faults = [_missing_fault(rows, row, column) for row, column in first_cells(refused)]
    raise cell_error(faults, total=int(np.count_nonzero(refused)))


def refused_gaps(rows: Rows, model: ModelInfo) -> np.ndarray:
    """Return the gaps in columns that may have none, bool of the rows' shape; without names, columns go by place."""
    if rows.gaps is None:
        return np.zeros(rows.matrix.shape, dtype=np.bool_)
    names = (rows.names or model.feature_names)[: rows.matrix.shape[1]]
    may_miss = model.missing_features
    allowed = np.zeros(rows.matrix.shape[1], dtype=np.bool_)
    allowed[: len(names)] = [name in may_miss for name in names]
    return np.asarray(rows.gaps & ~allowed)


def _missing_fault(rows: Rows, row: int, column: int) -> Violation:
    """Return what is wrong with a gap in a column that may have none."""
    return cell_fault(row, column, rows.names, ABSENT if rows.absent is not None and rows.absent[row, column] else NAN)
