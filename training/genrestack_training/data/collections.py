"""Several tables as one: each row knows its collection, and all tables have the same columns."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genrestack_common.text import quoted_list
from genrestack_training.data.selection import drop_option
from genrestack_training.data.table import Table, load_table
from genrestack_training.errors import TableError

_NAMED = 5


def load_tables(paths: Sequence[str | Path], **options: Any) -> Table:
    """Read one feature table, or several as collections of one.

    The columns are in the first table's order. The checksum of several is that of their checksums, a line each.

    Args:
        paths: the files, at least one; a collection is called what its file is, up to the first dot.
        options: as `load_table` takes them, for each of them.

    Raises:
        TableError: a file is not a table, two have one name, or their columns differ; the message names table and
            column.

    """
    files = [Path(path) for path in paths]
    if len(files) == 1:
        return load_table(files[0], **options)
    names = [file.name.split(".")[0] for file in files]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise TableError(f"two tables are called {doubled!r}, and a collection is called what its table is; rename one")
    tables = [load_table(file, **options) for file in files]
    for table in tables[1:]:
        _check_columns(tables[0], table)
    return _joined(tables, names)


def _check_columns(first: Table, other: Table) -> None:
    if first.extractor != other.extractor:
        raise TableError(
            f"{first.path} and {other.path} were computed by different extractors ({first.extractor or 'not said'} and "
            f"{other.extractor or 'not said'}); build both with the same genrestack features --kind and tagger"
        )
    lacking = [name for name in first.feature_names if name not in other.feature_names]
    more = [name for name in other.feature_names if name not in first.feature_names]
    if lacking:
        raise TableError(
            f"{other.path} has no feature {quoted_list(lacking, _NAMED)}, which {first.path} has; collections need the "
            f"same features: add the column, or leave it out everywhere ({drop_option(lacking[:_NAMED])})"
        )
    if more:
        raise TableError(
            f"{first.path} has no feature {quoted_list(more, _NAMED)}, which {other.path} has; collections need the "
            f"same features: add the column, or remove it from {other.path.name}"
        )
    if ("filename" in first.identifiers) != ("filename" in other.identifiers):
        without = other if "filename" in first.identifiers else first
        raise TableError(
            f"{without.path} has no column 'filename', which other collections have; add it: it names recordings"
        )


def _joined(tables: Sequence[Table], names: Sequence[str]) -> Table:
    first = tables[0]
    features = [table.features[:, [table.feature_names.index(n) for n in first.feature_names]] for table in tables]
    shared = [name for name in first.identifiers if all(name in table.identifiers for table in tables)]
    digests = "".join(f"{table.sha256}\n" for table in tables)
    labelled = [table.labels for table in tables if table.labels is not None]
    return replace(
        first,
        features=np.concatenate(features),
        labels=np.concatenate(labelled) if len(labelled) == len(tables) else None,
        identifiers={name: np.concatenate([table.identifiers[name] for table in tables]) for name in shared},
        path=Path(" + ".join(table.path.name for table in tables)),
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        notes=tuple(f"{table.path.name}: {note}" for table in tables for note in table.notes),
        collections=np.repeat(np.array(names), [len(table.features) for table in tables]),
    )
