"""What a Ray cluster of two nodes does, one of which is lost in the middle of a fit.

`python -m support.clusters.two_nodes FOLDER` writes what it saw to FOLDER/seen.json. The cluster binds to the machine's
own address, so it is run in a network namespace that has no other than loopback.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import numpy as np
import ray
from ray.cluster_utils import Cluster
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import StackingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from genrestack_training import ClusterError, build_stack
from genrestack_training.fitting import FitStore, fit_stack, open_backend
from genrestack_training.fitting.engines import Engine, ProcessEngine, SequentialEngine

ROWS = np.random.default_rng(3).normal(size=(120, 4))
LABELS = np.array(["a", "b", "c"])[np.arange(120) % 3]
LOST = "lost"
NETWORK: dict[str, Any] = {"mlp": {"hidden": [8], "epochs": 3, "learning_rate": 0.01}, "stack": {"folds": 2}}


class SlowSVC(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Leaves a file named after its node when it begins, and goes on once a node is lost."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def fit(self, X: Any, y: Any) -> "SlowSVC":
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
        (Path(self.folder) / f"{node}-{time.monotonic_ns()}").touch()
        while not (Path(self.folder) / LOST).exists():
            time.sleep(0.05)
        self.svc_ = SVC(C=10, probability=True, random_state=0).fit(X, y)
        self.classes_ = self.svc_.classes_
        return self

    def predict(self, X: Any) -> Any:
        return self.svc_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        return self.svc_.predict_proba(X)


class Dying(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Takes its process with it."""

    def fit(self, X: Any, y: Any) -> NoReturn:
        os._exit(1)

    def predict_proba(self, X: Any) -> NoReturn:
        raise NotImplementedError


def error_of(call: Callable[[], object]) -> str:
    try:
        call()
    except ClusterError as error:
        return str(error)
    return ""


def slow_stack(folder: Path) -> StackingClassifier:
    folder.mkdir(exist_ok=True)
    return StackingClassifier([("knn", KNeighborsClassifier(2)), ("slow", SlowSVC(str(folder)))], cv=3)


def answers(stack: StackingClassifier, engine: Engine | None, store: FitStore | None = None) -> np.ndarray:
    """Fit, and give what the stack and its base models answer to all rows."""
    fit_stack(stack, ROWS, LABELS, engine=engine, store=store)
    parts = [estimator.predict_proba(ROWS) for estimator in stack.estimators_]
    return np.hstack([stack.predict_proba(ROWS), *parts])


@contextmanager
def losing(cluster: Any, node: Any, began: Path) -> Iterator[None]:
    """Take a node away as soon as a fit has begun on it."""

    def watch() -> None:
        while not list(began.glob(f"{node.node_id}-*")):
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        (began / LOST).touch()

    thread = Thread(target=watch, daemon=True)
    thread.start()
    yield
    thread.join(timeout=60)


def main(folder: Path) -> None:
    """Watch a cluster and record what is seen."""
    seen: dict[str, Any] = {}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    with open_backend("ray", ray_address=cluster.address) as engine:
        assert engine is not None
        seen["parallelism"] = engine.parallelism
        seen["addresses"] = sorted({node["NodeManagerAddress"] for node in ray.nodes()})
        ours = answers(build_stack(overrides=NETWORK, seed=1), engine)
        theirs = answers(build_stack(overrides=NETWORK, seed=1), ProcessEngine(2))
        seen["equal with a network"] = bool(np.array_equal(ours, theirs))
    began, store = folder / "began", FitStore(folder / "fits")
    with open_backend("ray", ray_address=cluster.address) as engine, losing(cluster, other, began):
        ours = answers(slow_stack(began), engine, store)
        seen["begun"] = len(list(began.glob("*-*")))
    seen["nodes left"] = len(cluster.list_all_nodes())
    seen["equal after the loss"] = bool(np.array_equal(ours, answers(slow_stack(began), SequentialEngine())))
    seen["begun where it was lost"] = len(list(began.glob(f"{other.node_id}-*")))
    seen["kept"] = len(list((folder / "fits").iterdir()))
    with open_backend("ray", ray_address=cluster.address) as engine:
        stack = StackingClassifier([("dying", Dying())], cv=2)
        seen["lost for good"] = error_of(lambda: fit_stack(stack, ROWS, LABELS, engine=engine))
    cluster.shutdown()
    (folder / "seen.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
