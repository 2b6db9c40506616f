"""The notebook, step by step as it stands there: what `benchmarks.fit` compares the product's training with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted stack with the rows it was asked about."""

    stack: Any
    rows: npt.NDArray[np.float64]
    """Scaled, shape (n, f)."""
    answers: npt.NDArray[Any]
    """Labels as the stack gives them, shape (n,)."""
    right: npt.NDArray[Any]
    """The true labels, shape (n,)."""
    seconds: float
    """Of the fit alone."""
    fitted: int
    """Rows fitted."""


def fit_notebook(features: npt.NDArray[np.float64], labels: npt.NDArray[np.str_], seed: int, epochs: int) -> Fitted:
    """Scale, split, fit and predict.

    Args:
        features: raw, shape (n, f).
        labels: shape (n,).
        seed: of the split; nothing else is seeded.
        epochs: 100 in the notebook.

    """
    import time

    import keras
    from scikeras.wrappers import KerasClassifier
    from sklearn.ensemble import StackingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import LabelEncoder, MinMaxScaler
    from sklearn.svm import SVC

    y = LabelEncoder().fit_transform(labels)
    X = MinMaxScaler().fit_transform(features)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)

    def network() -> keras.Sequential:
        hidden = [keras.layers.Dense(300, activation="relu") for _ in range(5)]
        output = keras.layers.Dense(len(np.unique(y)), activation="softmax")
        model = keras.Sequential([keras.layers.Input((X.shape[1],)), *hidden, output])
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=1e-4),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    base = [
        ("knn", KNeighborsClassifier(n_neighbors=2, weights="distance", p=1)),
        ("svc", SVC(kernel="rbf", gamma="scale", C=200, probability=True)),
        ("mlp", KerasClassifier(model=network, epochs=epochs, batch_size=64, verbose=0)),
    ]
    stack = StackingClassifier(estimators=base, final_estimator=LogisticRegression(), cv=5, passthrough=True)
    begun = time.monotonic()
    stack.fit(X_train, y_train)
    seconds = time.monotonic() - begun
    return Fitted(stack, X_test, stack.predict(X_test), y_test, seconds, len(X_train))
