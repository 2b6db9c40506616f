"""A bundle that an older version wrote, checked in: it is read and answers for ever."""

from pathlib import Path

import numpy as np

from genrestack_bundle import ComposedSession, open_bundle, verify_parity


def test_a_bundle_of_format_1_still_answers() -> None:
    bundle = open_bundle(Path(__file__).parent / "format1" / "1")
    assert (bundle.model.format, bundle.part_names) == (1, ("knn", "svc"))
    session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu")
    parity = verify_parity(session, bundle)
    assert parity.labels_agreed == parity.rows == len(bundle.golden.rows)
    assert np.isfinite(session.run(bundle.golden.rows).base["knn"]).all()
