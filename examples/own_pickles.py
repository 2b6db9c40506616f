"""Export a stack that was fitted elsewhere, without our training.

    $ python examples/own_pickles.py models
    $ genrestack serve models

The same from files, once the stack and its scaler are pickled: docs/migration.md.
"""

import sys
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from genrestack_export import export_stack


def main(models_dir: Path) -> None:
    iris = load_iris()
    training, held_back, labels, true_labels = train_test_split(
        iris.data, iris.target, test_size=0.3, stratify=iris.target, random_state=0
    )
    scaler = StandardScaler().fit(training)
    base = [(f"knn{k}", KNeighborsClassifier(k, weights="distance")) for k in (3, 15)]
    stack = StackingClassifier(base, final_estimator=LogisticRegression()).fit(scaler.transform(training), labels)

    bundle = export_stack(
        stack,
        scaler,
        feature_names=iris.feature_names,
        # What people are shown, in the order of stack.classes_.
        classes=[str(name) for name in iris.target_names],
        # Raw rows that the stack was not fitted on: the graphs have to answer them as the stack does.
        reference_rows=held_back,
        training_rows=training,
        metrics={"accuracy": stack.score(scaler.transform(held_back), true_labels)},
        models_dir=models_dir,
        name="iris",
    )
    print(f"exported and verified: {bundle}")
    print(f"next: genrestack serve {models_dir}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "models"))
