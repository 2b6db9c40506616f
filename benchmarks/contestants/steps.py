"""The slow steps before, each a process of its own: `python -m benchmarks.contestants.steps train|export …`."""

import shutil
import sys
from pathlib import Path

import numpy as np

from benchmarks.contestants.prepared import MADE, SEED

# Those of the 3-second table.
_ROWS, _FEATURES, _CLASSES = 9866, 57, 10


def train_run(table: Path, folder: Path) -> None:
    """Train the notebook's stack as the notebook does and write the run to `folder`."""
    from genrestack_training import load_table, terminal_progress, train

    with terminal_progress() as progress:
        train(load_table(table), name="gtzan", seed=SEED, compare=(), run_dir=folder, progress=progress)


def make_table(path: Path) -> Path:
    """Write a table of the size of the 3-second one, of clusters that about half of the rows are support vectors of."""
    import pandas as pd
    from sklearn.datasets import make_classification

    X, y = make_classification(
        n_samples=_ROWS,
        n_features=_FEATURES,
        n_informative=20,
        n_redundant=10,
        n_classes=_CLASSES,
        n_clusters_per_class=2,
        class_sep=3.0,
        random_state=SEED,
    )
    frame = pd.DataFrame(X, columns=[f"feature_{i}" for i in range(_FEATURES)])
    frame.assign(label=[f"class_{label}" for label in y]).to_csv(path, index=False)
    return path


def export_all(run_folder: Path, folder: Path) -> None:
    """Export a run in both precisions, convert its parts one by one, and save its held-back rows, or nothing of it."""
    from benchmarks.contestants.stock import convert_parts
    from genrestack_training import load_run
    from genrestack_training.run_export import export_run

    run = load_run(run_folder)
    aside = folder.with_name(folder.name + ".writing")
    shutil.rmtree(aside, ignore_errors=True)
    print("Exporting the stack in both precisions …", file=sys.stderr)
    export_run(run, aside / "single", precision="single")
    export_run(run, aside / "double", precision="double")
    print("Converting its parts one by one with stock converters …", file=sys.stderr)
    convert_parts(run, aside / "stock")
    np.save(aside / "rows.npy", run.reference_rows.astype(np.float32))
    aside.rename(folder)


def main() -> None:
    """Run the step that the command line names."""
    step, source, target = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    target.parent.mkdir(parents=True, exist_ok=True)
    if step == "train":
        train_run(make_table(target.parent / f"{MADE}.csv") if source == MADE else Path(source), target)
    else:
        export_all(Path(source), target)


if __name__ == "__main__":
    main()
