"""Can a stack be compared with its graphs at all? Asked of the rows, before minutes are spent on fitting it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genrestack_export.errors import ExportError
from genrestack_export.exporter import answered_rows
from genrestack_export.original import Original
from genrestack_export.rows import proof_tables
from genrestack_export.ties import tied_rows
from genrestack_training import FitPlan

# One row without a tie is enough, and nearly every table has it among the first.
_AT_ONCE = 64


def check_comparable(plan: FitPlan) -> None:
    """Refuse what the export would refuse for its rows alone.

    Raises:
        ExportError: a reference row does not fit into float32, the scaler overflows on one, or a KNN ties on every row
            that the graphs could be compared on.

    """
    base = dict(plan.neighbors())
    original = Original(None, plan.scaler, base, len(plan.feature_names))
    tables = proof_tables(plan.reference_rows, plan.training_rows, list(plan.feature_names))
    scaled = original.scale_what_it_can(np.concatenate(list(tables.values())).astype(np.float64))
    given = len(plan.reference_rows)
    answered = answered_rows(scaled, given=given)
    if base and all(tied_rows(base, rows).all() for rows in _pieces(scaled[answered], given)):
        distinct = len(np.unique(plan.training_rows, axis=0))
        raise ExportError(
            f"the {len(plan.training_rows):,} rows to be fitted are {distinct:,} different ones, and on every row the "
            f"{base['knn'].n_neighbors} nearest neighbours tie between labels: no answer could be compared with the "
            "exported graphs. Add features that tell the labels apart, remove rows that repeat under other "
            "labels, or leave knn out of estimators under [stack] in a settings file"
        )


def _pieces(scaled: npt.NDArray[np.float64], given: int) -> Iterator[npt.NDArray[np.float64]]:
    """Give the made and the copied rows first, and of the `given` reference rows each only once."""
    for rows in (scaled[given:], np.unique(scaled[:given], axis=0)):
        for start in range(0, len(rows), _AT_ONCE):
            yield rows[start : start + _AT_ONCE]
