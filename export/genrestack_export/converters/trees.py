"""Trees and what is made of them: forests, boosting. All trees of an estimator are descended together.

A tree is a table of nodes: which column, which threshold, and where to go. A row stands at one node in each tree and
moves one level a step; at a leaf it stays. scikit-learn compares in float64 and so does this, which no graph of the
operator `TreeEnsembleClassifier` in float32 does. Leaves are added up from the first tree to the last, as there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from genrestack_export.converters.context import CLASSIFIERS, Answer, Context, Make, Table, lazy
from genrestack_export.converters.linear import linear_index
from genrestack_export.onnx_graph.builder import DOUBLE, FLOAT, INT64

_BINARY = 2
_TREES = (DecisionTreeClassifier, ExtraTreeClassifier)


@dataclass(frozen=True)
class Tree:
    """Nodes of one tree; a leaf leads to itself."""

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    """What a leaf adds, shape (nodes, m)."""

    @property
    def depth(self) -> int:
        """Return how many steps lead from the root to the deepest leaf."""
        level, steps = np.array([0]), -1
        while len(level):
            inner = level[self.left[level] != level]
            level, steps = np.concatenate([self.left[inner], self.right[inner]]), steps + 1
        return steps


def _read_tree(estimator: Any, values: npt.NDArray[np.float64]) -> Tree:
    tree = estimator.tree_
    nodes = np.arange(tree.node_count)
    leaf = tree.children_left < 0
    return Tree(
        np.where(leaf, 0, tree.feature),
        np.asarray(tree.threshold, dtype=np.float64),
        np.where(leaf, nodes, tree.children_left),
        np.where(leaf, nodes, tree.children_right),
        values,
    )


def _class_tree(estimator: Any) -> Tree:
    shares = np.asarray(estimator.tree_.value[:, 0, :], dtype=np.float64)
    total = shares.sum(axis=1, keepdims=True)
    # Older versions keep counts.
    return _read_tree(estimator, shares if np.allclose(total, 1) else shares / total)


def leaves(c: Context, trees: list[Tree], rows: Table, *, round_rows: bool) -> str:
    """Return the values of the leaves that rows come to, float64 (n, trees, m)."""
    g = c.g
    sizes = [len(tree.feature) for tree in trees]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    left = np.concatenate([tree.left + start for tree, start in zip(trees, starts, strict=True)])
    right = np.concatenate([tree.right + start for tree, start in zip(trees, starts, strict=True)])
    features = g.constant(np.concatenate([tree.feature for tree in trees]), np.int64)
    thresholds = c.array(np.concatenate([tree.threshold for tree in trees]))
    # Node i leads to entry 2i, or to entry 2i + 1 where the value is at most the threshold.
    ways = g.constant(np.stack([right, left], axis=1).ravel(), np.int64)
    # scikit-learn's trees round rows to float32, and the thresholds stay float64.
    values = g.cast(g.cast(rows.name, FLOAT), DOUBLE) if round_rows else rows.name
    first = g.node("Slice", values, *(g.constant([i], np.int64) for i in (0, 1, 1)))
    count = g.node("Mul", g.cast(first, INT64), g.scalar(0, np.int64))
    place = g.node("Add", count, g.constant(starts[None], np.int64))
    two = g.scalar(2, np.int64)
    for _ in range(max(tree.depth for tree in trees)):
        asked = g.node("GatherElements", values, g.node("Gather", features, place), axis=1)
        goes_left = g.node("LessOrEqual", asked, g.node("Gather", thresholds, place))
        place = g.node("Gather", ways, g.node("Add", g.node("Mul", place, two), g.cast(goes_left, INT64)))
    return g.node("Gather", c.array(np.concatenate([tree.values for tree in trees])), place, axis=0)


def add_up(c: Context, leaves: str) -> str:
    """Sum over the trees one after the other, float64 (n, m)."""
    g = c.g
    running = g.node("CumSum", leaves, g.scalar(1, np.int64))
    return g.node("Gather", running, g.scalar(-1, np.int64), axis=1)


def forest(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert a forest, or a single tree."""
    if estimator.n_outputs_ != 1:
        raise c.refuse(f"{type(estimator).__name__} of several outputs", "one label a row")
    inside = [estimator] if type(estimator) in _TREES else list(estimator.estimators_)
    trees = [_class_tree(tree) for tree in inside]

    def probabilities() -> str:
        total = add_up(c, leaves(c, trees, rows, round_rows=True))
        return total if len(trees) == 1 else c.g.node("Div", total, c.number(len(trees)))

    return Answer(len(estimator.classes_), lazy(probabilities))


def boosted(c: Context, classes: int, raw: Make, scale: float = 1.0) -> Answer:
    """Return the answer of boosting: a sigmoid of `scale` times what the trees add up to, or its softmax."""
    if classes == _BINARY:
        probabilities = lazy(lambda: c.beside(c.expit(c.g.node("Mul", raw(), c.number(scale)))))
    else:
        probabilities = lazy(lambda: c.g.node("Softmax", raw(), axis=1))
    return Answer(classes, probabilities, raw, linear_index(c, classes, raw))


def gradient_boosting(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `GradientBoostingClassifier`."""
    if estimator.init_ != "zero" and not isinstance(estimator.init_, DummyClassifier):
        raise c.refuse(f"GradientBoostingClassifier(init={type(estimator.init_).__name__}())", "init None or 'zero'")
    width = estimator.estimators_.shape[1]
    start = np.zeros(width)
    if estimator.init_ != "zero":
        start = np.asarray(estimator._raw_predict_init(np.zeros((1, rows.width), np.float32))).ravel()
    trees = [
        _read_tree(tree, np.eye(width)[[k]] * (estimator.learning_rate * tree.tree_.value[:, :, 0]))
        for stage in estimator.estimators_
        for k, tree in enumerate(stage)
    ]
    raw = lazy(lambda: c.g.node("Add", add_up(c, leaves(c, trees, rows, round_rows=True)), c.array(start[None])))
    return boosted(c, len(estimator.classes_), raw, 2.0 if estimator.loss == "exponential" else 1.0)


def histogram_boosting(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `HistGradientBoostingClassifier` without categorical features."""
    if estimator.is_categorical_ is not None and np.any(estimator.is_categorical_):
        raise c.refuse("HistGradientBoostingClassifier with categorical features", "numeric features")
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)
    width = start.shape[1]
    trees = []
    for stage in estimator._predictors:
        for k, predictor in enumerate(stage):
            nodes, places = predictor.nodes, np.arange(len(predictor.nodes))
            leaf = nodes["is_leaf"].astype(bool)
            trees.append(
                Tree(
                    np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
                    np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
                    np.where(leaf, places, nodes["left"]).astype(np.int64),
                    np.where(leaf, places, nodes["right"]).astype(np.int64),
                    np.eye(width)[[k]] * np.asarray(nodes["value"], dtype=np.float64)[:, None],
                )
            )
    raw = lazy(lambda: c.g.node("Add", add_up(c, leaves(c, trees, rows, round_rows=False)), c.array(start)))
    return boosted(c, len(estimator.classes_), raw)


def adaboost(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert `AdaBoostClassifier` by SAMME, whatever it boosts."""
    if getattr(estimator, "algorithm", "SAMME") == "SAMME.R":
        raise c.refuse("AdaBoostClassifier(algorithm='SAMME.R')", "algorithm='SAMME'")
    k, members = len(estimator.classes_), list(estimator.estimators_)
    weights = np.asarray(estimator.estimator_weights_, dtype=np.float64)[: len(members)]

    def votes() -> str:
        shares = [np.where(np.eye(k, dtype=bool), w, -1 / (k - 1) * w) for w in weights]
        if all(type(member) in _TREES for member in members):
            trees = []
            for member, share in zip(members, shares, strict=True):
                tree = _class_tree(member)
                codes = np.searchsorted(estimator.classes_, member.classes_)
                trees.append(_read_tree(member, share[codes[tree.values.argmax(axis=1)]]))
            return add_up(c, leaves(c, trees, rows, round_rows=True))
        found = []
        for member, share in zip(members, shares, strict=True):
            codes = np.searchsorted(estimator.classes_, member.classes_)
            index = c.index(c.classify(member, rows))
            found.append(c.g.node("Gather", c.array(share[codes]), index, axis=0))
        return c.total(found)

    def decision() -> str:
        mean = c.g.node("Div", votes(), c.number(float(estimator.estimator_weights_.sum())))
        if k > _BINARY:
            return mean
        return c.g.node("MatMul", mean, c.array([[-1.0], [1.0]]))

    made = lazy(decision)

    def probabilities() -> str:
        if k == _BINARY:
            return c.beside(c.expit(made()))
        return c.g.node("Softmax", c.g.node("Div", made(), c.number(k - 1)), axis=1)

    return Answer(k, lazy(probabilities), made, linear_index(c, k, made))


CLASSIFIERS.update(
    {
        **dict.fromkeys((*_TREES, RandomForestClassifier, ExtraTreesClassifier), forest),
        GradientBoostingClassifier: gradient_boosting,
        HistGradientBoostingClassifier: histogram_boosting,
        AdaBoostClassifier: adaboost,
    }
)
