"""Train the notebook's stack on a table and export it in both precisions: `training.py TABLE FOLDER`.

Prints, as JSON, what each export measured against scikit-learn, libsvm and Keras as they compute on this processor.
"""

import json
import sys
from pathlib import Path
from typing import Final

from genrestack_bundle import open_bundle
from genrestack_export.converters.parts import Precision
from genrestack_training import load_table, train
from genrestack_training.run_export import export_run

PRECISIONS: Final[tuple[Precision, ...]] = ("single", "double")


def main(table: str, folder: str) -> None:
    """Train in a few epochs: how good the stack is does not matter here."""
    overrides = {"mlp": {"epochs": 5}}
    run = train(load_table(Path(table)), overrides=overrides, compare=[], runs_dir=None)
    found = {}
    for precision in PRECISIONS:
        path = export_run(run, Path(folder), name=precision, precision=precision)
        parity = open_bundle(path).model.parity
        found[precision] = {
            "rows": parity.rows,
            "labels": parity.labels_agreed,
            "stack": parity.max_abs_difference,
            "parts": {part.name: part.max_abs_difference for part in parity.parts},
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
