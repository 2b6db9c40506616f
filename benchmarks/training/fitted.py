"""One training in a process of its own: `python -m benchmarks.training.fitted REQUEST`, JSON in, arrays out."""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.reporting.memory import peak_memory
from benchmarks.training.notebook import Fitted, fit_notebook

_MB: Final = 1e6


def measure(who: str, table: Path, seed: int, epochs: int, arrays: Path) -> dict[str, Any]:
    """Train once.

    Args:
        who: "notebook", or "genrestack" with the preset that is hyperparameter for hyperparameter the notebook's.
        table: what is trained on.
        seed: of the split, and for "genrestack" of everything.
        epochs: of the network.
        arrays: the .npz file to write what the parts answered to.

    """
    with peak_memory() as peak:
        fitted = (_notebook if who == "notebook" else _genrestack)(table, seed, epochs)
        memory = peak()
    _save(fitted, arrays)
    accuracy = float(np.mean(fitted.answers == fitted.right))
    return {"rows": fitted.fitted, "fit_seconds": fitted.seconds, "peak_mb": memory / _MB, "accuracy": accuracy}


def _notebook(table: Path, seed: int, epochs: int) -> Fitted:
    from genrestack_training import load_table

    loaded = load_table(table)
    return fit_notebook(loaded.features, np.asarray(loaded.labels), seed, epochs)


def _genrestack(table: Path, seed: int, epochs: int) -> Fitted:
    from genrestack_training import load_table, train

    # The notebook's scaler has seen all rows; with another the parts could not be compared.
    overrides = {"scaler": {"fit_on": "all"}}
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"seed": seed, "epochs": epochs, "overrides": overrides, "compare": ()}
        run = train(load_table(table), run_dir=Path(folder, "run"), **options)
    rows = run.scaled(run.reference_rows)
    right = run.reference_labels
    assert right is not None
    seconds = run.provenance.fit_seconds
    return Fitted(run.stack, rows, run.stack.predict(rows), right, seconds, run.provenance.fitted_rows)


def _save(fitted: Fitted, file: Path) -> None:
    knn, svc = (fitted.stack.named_estimators_[part] for part in ("knn", "svc"))
    np.savez(
        file,
        rows=fitted.rows,
        knn=knn.predict_proba(fitted.rows),
        svc=svc.decision_function(fitted.rows),
        support=svc.support_,
        weights=svc.dual_coef_,
    )


def main() -> None:
    """Measure what the command line asks for."""
    request = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    told = measure(request["who"], Path(request["table"]), request["seed"], request["epochs"], Path(request["arrays"]))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
