"""Fits as Ray tasks give the stack that fits in this process give, and survive the loss of a node."""

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from support.network import namespaces
from support.tools import need
from training.conftest import LIGHT, Remembered

from genrestack_training import ClusterError, SettingsError, Step, Table, build_stack, train
from genrestack_training.fitting import FitStore, fit_stack, open_backend
from genrestack_training.fitting.engines import Engine, SequentialEngine

ROWS = np.random.default_rng(3).normal(size=(120, 4))
LABELS = np.array(["a", "b", "c"])[np.arange(120) % 3]
TESTS = Path(__file__).parents[2]


def light_stack(**parameters: Any) -> Any:
    return build_stack(overrides=LIGHT, seed=1).set_params(**parameters)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Tasks of a cluster that is started here, with two CPUs."""
    with open_backend("ray", jobs=2) as tasks:
        assert tasks is not None
        yield tasks


def test_the_stack_is_the_local_one_to_the_last_byte(engine: Engine) -> None:
    ours, theirs, heard = light_stack(), light_stack(), Remembered()
    fit_stack(ours, ROWS, LABELS, engine=engine, progress=heard)
    fit_stack(theirs, ROWS, LABELS, engine=SequentialEngine())
    np.testing.assert_array_equal(ours.predict_proba(ROWS), theirs.predict_proba(ROWS))
    np.testing.assert_array_equal(ours.final_estimator_.coef_, theirs.final_estimator_.coef_)
    for mine, other in zip(ours.estimators_, theirs.estimators_, strict=True):
        np.testing.assert_array_equal(mine.predict_proba(ROWS), other.predict_proba(ROWS))
    assert engine.parallelism == 2
    assert heard.steps[-1].fraction == 1.0
    assert {step.part for step in heard.steps} == {"knn", "svc", "meta"}


def test_every_port_of_a_cluster_started_here_is_on_loopback(engine: Engine) -> None:
    names, listening = set(), []
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        # Ray's idle workers end while we look.
        with contextlib.suppress(psutil.NoSuchProcess):
            names.add(process.name())
            listening += [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert "raylet" in names
    assert len(listening) >= 3
    assert {connection.laddr.ip.removeprefix("::ffff:") for connection in listening} <= {"127.0.0.1", "::1"}


def test_a_fit_that_fails_raises_what_it_raises_here(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    stack, other = light_stack(), light_stack()
    for each in (stack, other):
        # Of several parts, any may be the first to fail.
        each.estimators = each.estimators[:1]
    with pytest.raises(ValueError, match="NaN") as here:
        fit_stack(other, np.full_like(ROWS, np.nan), LABELS, engine=SequentialEngine())
    with pytest.raises(ValueError, match="NaN") as there:
        fit_stack(stack, np.full_like(ROWS, np.nan), LABELS, engine=engine)
    assert there.type is here.type
    assert str(there.value) == str(here.value)
    assert not hasattr(stack, "estimators_")
    assert capfd.readouterr() == ("", "")


def test_each_fit_has_one_thread_and_its_warnings_come_home(engine: Engine) -> None:
    class Talkative(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
        """Says which threads it may use, by way of a warning."""

        def fit(self, X: Any, y: Any) -> "Talkative":
            from threadpoolctl import threadpool_info

            threads = max(pool["num_threads"] for pool in threadpool_info())
            warnings.warn(f"{threads} thread, TensorFlow {os.environ['TF_NUM_INTRAOP_THREADS']}", ConvergenceWarning, 2)
            self.classes_ = np.unique(y)
            return self

        def predict(self, X: Any) -> np.ndarray:
            return np.full(len(X), self.classes_[0])

        def predict_proba(self, X: Any) -> np.ndarray:
            return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    stack = light_stack()
    stack.estimators = [("talkative", Talkative())]
    with pytest.warns(ConvergenceWarning, match="1 thread, TensorFlow 1") as caught:
        fit_stack(stack, ROWS, LABELS, engine=engine)
    assert len(caught) == 3


class OfThisModule(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Of a module that pytest imports by its path, and so nobody else can."""

    def fit(self, X: Any, y: Any) -> "OfThisModule":
        raise NotImplementedError

    def predict_proba(self, X: Any) -> np.ndarray:
        raise NotImplementedError


def test_what_a_machine_of_the_cluster_lacks_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = light_stack()
    stack.estimators = [("ours", OfThisModule())]
    with pytest.raises(ClusterError, match=r"a machine of the Ray cluster lacks the module \w+; install it there"):
        fit_stack(stack, ROWS, LABELS, engine=engine)
    # As if this machine had another version than the others.
    monkeypatch.setattr("genrestack_training.fitting.ray_engine.library_versions", lambda: "numpy 0.1")
    with pytest.raises(
        ClusterError, match=r"has numpy \d.*, and this one has numpy 0\.1: .* install the same versions"
    ):
        fit_stack(light_stack(), ROWS, LABELS, engine=engine)


def test_fits_that_nobody_waits_for_end_at_their_next_epoch(engine: Engine) -> None:
    class Endless(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
        """Is told as our networks are whom its epochs go to."""

        _epoch_listener: Any = None

        def fit(self, X: Any, y: Any) -> "Endless":
            import time

            for epoch in range(10**9):
                self._epoch_listener(epoch + 1, 10**9)
                time.sleep(0.01)
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            raise NotImplementedError

    class Interrupting(Remembered):
        def update(self, step: Step) -> None:
            if step.epoch is not None:
                raise KeyboardInterrupt

    stack = light_stack()
    stack.estimators = [("endless", Endless())]
    with pytest.raises(KeyboardInterrupt):
        fit_stack(stack, ROWS, LABELS, engine=engine, progress=Interrupting())
    import ray

    while ray.available_resources().get("CPU") != 2:
        time.sleep(0.05)


def test_refusals_by_machines_leave_this_process_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray's own `cancel` ends this process where it meets the end of a task: after one to forty of these when busy.
    monkeypatch.setattr("genrestack_training.fitting.ray_engine.library_versions", lambda: "numpy 0.1")
    for _ in range(8):
        with pytest.raises(ClusterError, match="install the same versions"):
            fit_stack(light_stack(), ROWS, LABELS, engine=engine)


def test_finished_fits_are_kept_and_not_made_again(engine: Engine, tmp_path: Path) -> None:
    store, heard = FitStore(tmp_path / "fits"), Remembered()
    first, second = light_stack(), light_stack()
    fit_stack(first, ROWS, LABELS, engine=SequentialEngine(), store=store)
    for path in sorted((tmp_path / "fits").iterdir())[:3]:
        path.unlink()
    fit_stack(second, ROWS, LABELS, engine=engine, store=store, progress=heard)
    np.testing.assert_array_equal(first.predict_proba(ROWS), second.predict_proba(ROWS))
    assert len(list((tmp_path / "fits").iterdir())) == 6


def test_a_second_address_is_refused_while_connected(engine: Engine) -> None:
    with (
        pytest.raises(ClusterError, match="connected to a Ray cluster already"),
        open_backend("ray", ray_address="x:1"),
    ):
        pass


def test_an_address_where_nobody_answers() -> None:
    command = [sys.executable, "-c", ALONE, "127.0.0.1:9", "here", "10.0.0.5"]
    refused, wrong, portless = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "the Ray cluster at 127.0.0.1:9 does not answer; check --ray-address (or RAY_ADDRESS)" in refused
    assert "'here' is not the address of a Ray cluster; --ray-address takes HOST:PORT" in wrong
    assert "'10.0.0.5' is not the address" in portless


ALONE = """
import sys
from genrestack_training import ClusterError
from genrestack_training.fitting import open_backend
for address in sys.argv[1:]:
    try:
        with open_backend("ray", ray_address=address):
            pass
    except ClusterError as error:
        print(error)
"""


def test_choices_that_cannot_be(small_table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="no backend 'dask'; choose one of local, ray"):
        train(small_table, overrides=LIGHT, runs_dir=None, backend="dask")
    with pytest.raises(SettingsError, match="choose the backend ray"):
        train(small_table, overrides=LIGHT, runs_dir=None, ray_address="10.0.0.5:6379")
    # What Python does for a module that is not installed.
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r'pip install "genrestack\[train,ray\]"'):
        train(small_table, overrides=LIGHT, runs_dir=None, backend="ray")


@pytest.mark.long
def test_two_nodes_and_the_loss_of_one(tmp_path: Path) -> None:
    command = namespaces.alone()
    need(command, namespaces.WHAT)
    done = subprocess.run(
        [*command, sys.executable, "-W", "ignore", "-m", "support.clusters.two_nodes", str(tmp_path)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""
    assert "raylet" not in done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert seen["parallelism"] == 2
    assert seen["addresses"] == ["127.0.0.1"]
    assert seen["equal with a network"]
    assert seen["begun where it was lost"] == 1
    assert seen["begun"] == 5  # one of the four fits of this part, twice
    assert seen["nodes left"] == 1
    assert seen["equal after the loss"]
    assert seen["kept"] == 8
    assert "the fit of dying" in seen["lost for good"]
    assert "was begun 6 times and lost" in seen["lost for good"]
