"""Can a stack be exported there, and compared with its graphs? Asked before minutes are spent on fitting it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrestack_bundle.layout import check_case
from genrestack_export.errors import ExportError
from genrestack_export.exporter import answerable_rows
from genrestack_export.parity.rows import parity_tables, tied_rows
from genrestack_export.source_stack import SourceStack

# One row without a tie is enough, and nearly every table has it among the first.
_AT_ONCE = 64


def check_writable(models_dir: Path, name: str) -> None:
    """Check that `models_dir/name` can be written; nothing is created and nothing stays behind.

    Raises:
        ExportError: it cannot; the message names the folder that stands in the way.
        BundleError: there is a model from whose name this one differs by case alone.

    """
    check_case(models_dir, name)
    place = models_dir / name
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise ExportError(
            f"cannot write into {place}: {error.strerror}; choose another folder for the bundle with --models"
        ) from error


def check_comparable(
    *,
    feature_names: Sequence[str],
    training_rows: npt.NDArray[np.float64],
    reference_rows: npt.NDArray[np.float64],
    scaler: Any,
    neighbors: Mapping[str, Any],
    accepts: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Reject what the export would refuse for its rows alone.

    Args:
        feature_names: the columns.
        training_rows: unscaled rows that will be fitted, shape (m, f).
        reference_rows: unscaled rows that will not, shape (n, f), n ≥ 1.
        scaler: fitted; None: none.
        neighbors: the stack's fitted `KNeighborsClassifier`, by its name in the stack; empty if it has none.
        accepts: which columns accept missing values, bool (f,); None: none.

    Raises:
        ExportError: a reference row does not fit into float32, the scaler overflows on one, or a KNN ties on every row
            that the graphs could be compared on.

    """
    base = dict(neighbors)
    source = SourceStack(None, scaler, base, len(feature_names), len(feature_names))
    tables = parity_tables(reference_rows, training_rows, list(feature_names), accepts)
    scaled = source.scale_or_nan(np.concatenate(list(tables.values())).astype(np.float64))
    given = len(reference_rows)
    answered = answerable_rows(scaled, given=given)
    if base and all(tied_rows(base, rows).all() for rows in _pieces(scaled[answered], given)):
        distinct = len(np.unique(training_rows, axis=0))
        raise ExportError(
            f"the {len(training_rows):,} rows to be fitted are {distinct:,} different ones, and on every row the "
            f"{base['knn'].n_neighbors} nearest neighbours tie between labels: no answer could be compared with the "
            "exported graphs. Add features that tell the labels apart, remove rows that repeat under other "
            "labels, or leave knn out of estimators under [stack] in a settings file"
        )


def _pieces(scaled: npt.NDArray[np.float64], given: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the synthetic and the copied rows first, and of the `given` reference rows each only once."""
    for rows in (scaled[given:], np.unique(scaled[:given], axis=0)):
        for start in range(0, len(rows), _AT_ONCE):
            yield rows[start : start + _AT_ONCE]
