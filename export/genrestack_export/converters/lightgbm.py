"""LightGBM's `LGBMClassifier`, read from what its booster dumps; the library itself is not imported."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genrestack_export.converters.context import OTHERS, Answer, Context, Table, lazy
from genrestack_export.converters.trees import Tree, add_up, boosted, leaves

_NAMED_BY_PLACE = "Column_{}"


def is_lightgbm(estimator: Any) -> bool:
    """Return whether an estimator is a classifier of LightGBM."""
    kind = type(estimator)
    return kind.__name__ == "LGBMClassifier" and kind.__module__.partition(".")[0] == "lightgbm"


def names_by_place(names: Iterable[str]) -> bool:
    """Return whether names of columns are those that LightGBM gives for want of names in the fit.

    A stack takes over the names that its first member says it was fitted with.
    """
    given = list(names)
    return given == [_NAMED_BY_PLACE.format(place) for place in range(len(given))]


def lightgbm(c: Context, estimator: Any, rows: Table) -> Answer:
    """Convert an `LGBMClassifier`: binary or multiclass, of numeric features."""
    dump = estimator.booster_.dump_model()
    objective, *options = str(dump["objective"]).split()
    if objective not in {"binary", "multiclass"}:
        raise c.refuse(f"LGBMClassifier(objective={objective!r})", "objective 'binary' or 'multiclass'")
    width = int(dump["num_tree_per_iteration"])
    trees = [_tree(c, tree["tree_structure"], place % width, width) for place, tree in enumerate(dump["tree_info"])]
    if not trees:
        raise c.refuse("LGBMClassifier without a tree", "one with a tree at least")
    # A random forest's trees are averaged.
    stages = len(trees) // width if dump.get("average_output") else 1

    def raw() -> str:
        total = add_up(c, leaves(c, trees, rows, round_rows=False))
        return c.g.node("Div", total, c.number(stages)) if stages > 1 else total

    slope = dict(option.split(":", 1) for option in options if ":" in option).get("sigmoid", "1")
    return boosted(c, len(estimator.classes_), lazy(raw), float(slope))


def _tree(c: Context, root: Mapping[str, Any], column: int, width: int) -> Tree:
    """Return a dumped tree, its nodes numbered from the root on, each child behind its parent."""
    nodes: list[Mapping[str, Any]] = [root]
    left: list[int] = []
    right: list[int] = []
    for node in nodes:
        place = len(left)
        if "split_feature" not in node:
            left.append(place)
            right.append(place)
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise c.refuse(
                "LGBMClassifier with categorical features, or zeros that count as missing",
                "numeric features and zero_as_missing=False",
            )
        left.append(len(nodes))
        right.append(len(nodes) + 1)
        nodes.extend((node["left_child"], node["right_child"]))
    values = np.zeros((len(nodes), width))
    values[:, column] = [node.get("leaf_value", 0.0) for node in nodes]
    return Tree(
        np.array([node.get("split_feature", 0) for node in nodes], dtype=np.int64),
        np.array([node.get("threshold", 0.0) for node in nodes], dtype=np.float64),
        np.array(left, dtype=np.int64),
        np.array(right, dtype=np.int64),
        values,
    )


OTHERS.append((is_lightgbm, lightgbm))
