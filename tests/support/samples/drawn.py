"""Stacks drawn at random, for tests that hold scikit-learn, ONNX and the server together."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from support.samples.stacks import FittedStack

NAMES = ("knn", "svc", "mlp", "scaler", "meta", "my net", "Ünï", "a.b-c", "x" * 120, "features")
SCALERS: dict[str, Any] = {
    "minmax": MinMaxScaler,
    "standard": StandardScaler,
    "robust": RobustScaler,
    "power": PowerTransformer,
    "uniform": lambda: QuantileTransformer(n_quantiles=40),
    "normal": lambda: QuantileTransformer(n_quantiles=40, output_distribution="normal"),
    "none": None,
}


OTHERS: dict[str, Any] = {
    "logistic": lambda: LogisticRegression(max_iter=200),
    "tree": lambda: DecisionTreeClassifier(max_depth=5, random_state=0),
    "forest": lambda: RandomForestClassifier(9, random_state=0),
    "boosted": lambda: GradientBoostingClassifier(n_estimators=4, random_state=0),
    "bayes": GaussianNB,
    "discriminant": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5),
    "decisions": lambda: LinearSVC(max_iter=200, random_state=0),
    "votes": lambda: VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier(max_depth=2))], voting="soft"),
    "pipeline": lambda: make_pipeline(MaxAbsScaler(), PCA(0.9, svd_solver="full"), LogisticRegression(max_iter=200)),
}
"""Estimators of scikit-learn that are drawn as they are."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn; its repr is what a failing test prints."""

    seed: int
    classes: int
    features: int
    rows: int
    data: str
    labels: str
    scaler: str
    base: tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...]
    passthrough: bool
    precision: str


def knn_parameters() -> st.SearchStrategy[dict[str, Any]]:
    """Hyperparameters of a KNN that is supported."""
    metrics: list[dict[str, Any]] = [{"p": 1}, {"p": 2}]
    metrics += [{"metric": name} for name in ("manhattan", "cityblock", "l1", "euclidean", "l2")]
    metric = st.sampled_from(metrics)
    others = st.fixed_dictionaries(
        {
            "n_neighbors": st.integers(1, 12),
            "weights": st.sampled_from(["uniform", "distance"]),
            "algorithm": st.sampled_from(["auto", "brute", "kd_tree"]),
        }
    )
    return st.tuples(metric, others).map(lambda pair: {**pair[0], **pair[1]})


def svc_parameters() -> st.SearchStrategy[dict[str, Any]]:
    """Hyperparameters of an SVC that is supported."""
    return st.fixed_dictionaries(
        {
            "kernel": st.sampled_from(["rbf", "rbf", "linear", "poly", "sigmoid"]),
            "C": st.sampled_from([0.1, 1.0, 10.0, 200.0]),
            "gamma": st.sampled_from(["scale", "auto", 0.5]),
            "degree": st.integers(1, 4),
            "coef0": st.sampled_from([0.0, 1.0]),
        }
    )


def mlp_parameters() -> st.SearchStrategy[dict[str, Any]]:
    """Hyperparameters of a small network."""
    return st.fixed_dictionaries(
        {
            "hidden": st.sampled_from([(4,), (8, 8)]),
            "activation": st.sampled_from(["relu", "tanh", "gelu"]),
            "normalise": st.booleans(),
            "sigmoid": st.booleans(),
        }
    )


_PARAMETERS = {
    "knn": knn_parameters(),
    "svc": svc_parameters(),
    "calibrated": svc_parameters(),
    "mlp": mlp_parameters(),
    "other": st.fixed_dictionaries({"name": st.sampled_from(sorted(OTHERS))}),
}
KINDS = ("knn", "knn", "svc", "svc", "calibrated", "other", "other", "mlp")


@st.composite
def drawn_stacks(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Drawn:
    """Draw estimators, hyperparameters, class counts, label types and data."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=len(chosen), max_size=len(chosen), unique=True))
    base = tuple(
        (name, kind, tuple(sorted(draw(_PARAMETERS[kind]).items()))) for name, kind in zip(names, chosen, strict=True)
    )
    return Drawn(
        seed=draw(st.integers(0, 10_000)),
        classes=draw(st.integers(2, 5)),
        features=draw(st.integers(1, 20)),
        rows=draw(st.sampled_from([60, 120, 300])),
        data=draw(st.sampled_from(["blobs", "grid", "duplicates", "scales"])),
        labels=draw(st.sampled_from(["str", "int", "bool-like"])),
        scaler=draw(st.sampled_from(sorted(SCALERS))),
        base=base,
        passthrough=draw(st.booleans()),
        precision=draw(st.sampled_from(["single", "double"])),
    )


def fit_drawn(drawn: Drawn) -> FittedStack:
    """Fit a drawn stack whole."""
    rng = np.random.default_rng(drawn.seed)
    codes = np.arange(drawn.rows) % drawn.classes
    data = _data(drawn, codes, rng)
    labels = _labels(drawn)[codes]
    held_back = np.arange(drawn.rows) % 4 == 3
    make = SCALERS[drawn.scaler]
    scaler = None if make is None else make().fit(data[~held_back])
    stack = StackingClassifier(
        [(name, _estimator(kind, dict(parameters), drawn)) for name, kind, parameters in drawn.base],
        final_estimator=LogisticRegression(max_iter=200),
        passthrough=drawn.passthrough,
        cv=2,
    )
    scale = (lambda rows: rows) if scaler is None else scaler.transform
    with warnings.catch_warnings():
        # Short fits on odd data stop early; how good a drawn stack is does not matter.
        warnings.simplefilter("ignore")
        stack.fit(scale(data[~held_back]), labels[~held_back])
    return FittedStack(
        stack,
        scaler,
        tuple(f"f{i}" for i in range(drawn.features)),
        tuple(str(c) for c in stack.classes_),
        data[~held_back],
        data[held_back],
        [str(label) for label in labels[held_back]],
    )


def _labels(drawn: Drawn) -> Any:
    if drawn.labels == "str":
        return np.array(["rock", "Ärger", "2", "b l u e s", "classical"])[: drawn.classes]
    if drawn.labels == "int":
        return np.array([7, -1, 3, 100, 0])[: drawn.classes]
    return np.arange(drawn.classes)


def _data(drawn: Drawn, codes: Any, rng: np.random.Generator) -> Any:
    centres = rng.normal(size=(drawn.classes, drawn.features))
    data = centres[codes] + rng.normal(size=(drawn.rows, drawn.features)) * 0.7
    if drawn.data == "grid":
        return np.round(data)
    if drawn.data == "duplicates":
        third = drawn.rows // 3
        data[third : 2 * third] = data[:third]
        return data.astype(np.float32).astype(np.float64)
    if drawn.data == "scales":
        return data * 10.0 ** rng.integers(-3, 4, drawn.features) + rng.integers(-5, 6, drawn.features)
    return data


def _estimator(kind: str, parameters: dict[str, Any], drawn: Drawn) -> Any:
    if kind == "knn":
        # No more neighbours than a fold has training points.
        neighbors = min(parameters["n_neighbors"], drawn.rows // 4)
        return KNeighborsClassifier(**parameters | {"n_neighbors": neighbors})
    if kind == "svc":
        return SVC(**parameters, probability=True, random_state=drawn.seed, max_iter=20_000)
    if kind == "calibrated":
        return CalibratedClassifierCV(SVC(**parameters, max_iter=20_000), ensemble=False, cv=2)
    if kind == "other":
        return OTHERS[parameters["name"]]()
    return make_network(**parameters, classes=drawn.classes, seed=drawn.seed)


def make_network(
    *, hidden: tuple[int, ...], activation: str, normalise: bool, sigmoid: bool, classes: int, seed: int
) -> Any:
    """Make a raw scikeras classifier, one-row defect and all."""
    from scikeras.wrappers import KerasClassifier

    one = sigmoid and classes == 2
    return KerasClassifier(
        model=_network,
        hidden=hidden,
        activation=activation,
        normalise=normalise,
        one=one,
        loss="binary_crossentropy" if one else "sparse_categorical_crossentropy",
        seed=seed,
        epochs=2,
        batch_size=32,
        verbose=0,
    )


def _network(
    hidden: tuple[int, ...], activation: str, *, normalise: bool, one: bool, seed: int, meta: dict[str, Any]
) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    network = keras.Sequential([keras.layers.Input((meta["n_features_in_"],))])
    for units in hidden:
        network.add(keras.layers.Dense(units, activation=activation))
        if normalise:
            network.add(keras.layers.BatchNormalization())
    network.add(keras.layers.Dense(1 if one else meta["n_classes_"], activation="sigmoid" if one else "softmax"))
    network.compile(loss="binary_crossentropy" if one else "sparse_categorical_crossentropy", optimizer="adam")
    return network
