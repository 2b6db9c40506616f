"""Answer bundles' golden rows on the processor that this runs on: `golden_rows.py OUT.npz BUNDLE…`.

Prints, as JSON and by the bundle's model name, how far the answers are from the original's, and keeps the answers.
Imports nothing of what trains, so that it runs wherever a server does.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from genrestack_bundle import ComposedSession, open_bundle, verify_parity


def main(out: str, *paths: str) -> None:
    """Verify the parity of each, and answer."""
    found: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    for path in map(Path, paths):
        bundle = open_bundle(path)
        session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
        parity = verify_parity(session, bundle)
        name = bundle.model.name
        found[name] = {
            "rows": parity.rows,
            "labels": parity.labels_agreed,
            "stack": parity.max_abs_difference,
            "parts": {part.name: part.max_abs_difference for part in parity.parts},
        }
        answers[name] = session.run(bundle.golden.rows).probabilities
    np.savez(out, **answers)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
