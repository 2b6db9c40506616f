"""The parity check of the neighbours part: what it finds against what scikit-learn's metric says of all rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from genrestack_bundle import Golden
from genrestack_bundle.neighbor_search import NeighborSearch, check_found
from genrestack_bundle.runtime.compose import compose_search
from genrestack_export.converters.nearest.neighbors import FILE, NeighborsPart
from genrestack_export.source_stack import SourceStack
from genrestack_proto.v1.model_pb2 import Model

_MOST_ROWS: Final = 512


def check_neighbors(
    source: SourceStack,
    search: NeighborsPart,
    model: Model,
    graphs: Mapping[str, bytes],
    expected: Golden,
    golden: Golden,
) -> Golden:
    """Compare the part with the original, and return the golden rows with their nearest training rows.

    Args:
        source: the original.
        search: the part.
        model: the manifest, which lists it.
        graphs: each part's serialised ONNX model, by file name.
        expected: the rows of the parity check; some hundreds of them are compared.
        golden: the bundle's golden rows.

    Raises:
        ParityError: it finds other training rows, or other distances.

    """
    outputs = [value.name for value in search.model.graph.output]
    session = NeighborSearch(compose_search(model, graphs), outputs=outputs, threads=1)
    chosen = np.unique(np.linspace(0, len(expected.rows) - 1, _MOST_ROWS, dtype=np.int64))
    for rows in (expected.rows[chosen], golden.rows):
        found = session.run(rows)
        known = search.expected(source.scale(rows.astype(np.float64)))
        check_found(found, known, FILE)
    return replace(golden, neighbors=known)
