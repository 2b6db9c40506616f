"""A stack fitted in tasks is the stack that scikit-learn fits, wherever the tasks ran and whenever they stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from support.hoarding import HoardingClassifier
from training.conftest import LIGHT, TINY, Remembered

from genrestack_training import Table, build_stack
from genrestack_training.errors import RunError
from genrestack_training.fitting import FitStore, choose_engine, fit_stack, plan_fits
from genrestack_training.fitting.engines import ProcessEngine, SequentialEngine, longest_first
from genrestack_training.fitting.fit_time import TimeEstimate

ROWS = np.random.default_rng(3).normal(size=(120, 4))
LABELS = np.array(["a", "b", "c"])[np.arange(120) % 3]
CODES = np.arange(120) % 3
GROUPS = np.arange(120) // 6


def light_stack(**parameters: Any) -> Any:
    return build_stack(overrides=LIGHT, seed=1).set_params(**parameters)


@pytest.mark.parametrize("engine", [SequentialEngine(), ProcessEngine(2)], ids=["in process", "processes"])
def test_the_stack_is_scikit_learns_own_to_the_last_byte(engine: Any) -> None:
    ours, theirs = light_stack(), light_stack()
    fit_stack(ours, ROWS, LABELS, engine=engine)
    theirs.fit(ROWS, LABELS)
    np.testing.assert_array_equal(ours.predict_proba(ROWS), theirs.predict_proba(ROWS))
    np.testing.assert_array_equal(ours.final_estimator_.coef_, theirs.final_estimator_.coef_)
    for name, estimator in ours.named_estimators_.items():
        assert_same_state(estimator, theirs.named_estimators_[name])
    assert set(vars(ours)) == set(vars(theirs))


def assert_same_state(ours: Any, theirs: Any) -> None:
    assert set(vars(ours)) == set(vars(theirs))
    for name, value in vars(theirs).items():
        if name != "_tree":  # built again when a KNN is unpickled
            np.testing.assert_equal(getattr(ours, name), value)


def test_the_network_is_the_one_that_scikit_learn_would_have_fitted(small_table: Table) -> None:
    rows, labels = small_table.features / np.abs(small_table.features).max(axis=0), np.asarray(small_table.labels)
    ours, theirs = build_stack(overrides=TINY, seed=1), build_stack(overrides=TINY, seed=1)
    fits = fit_stack(ours, rows, labels, engine=SequentialEngine())
    theirs.fit(rows, labels)
    np.testing.assert_array_equal(ours.predict_proba(rows), theirs.predict_proba(rows))
    probabilities = fits[("mlp", 1)].probabilities
    assert probabilities is not None
    assert probabilities.shape == (45, 3)


def test_only_long_fits_without_random_layers_are_compiled() -> None:
    quick = {"jit_compile": True, "steps_per_execution": 32}
    mlps = {preset: dict(build_stack(preset, seed=1).estimators)["mlp"] for preset in ("notebook", "best")}
    assert (mlps["notebook"].execution(8000), mlps["best"].execution(8000)) == (quick, {})
    assert mlps["notebook"].execution(100) == {}


def test_folds_given_as_row_numbers_are_the_ones_fitted() -> None:
    folds = list(StratifiedGroupKFold(3, shuffle=True, random_state=0).split(ROWS, LABELS, GROUPS))
    ours, theirs = light_stack(cv=folds), light_stack(cv=folds)
    fits = fit_stack(ours, ROWS, LABELS, engine=SequentialEngine())
    theirs.fit(ROWS, LABELS)
    np.testing.assert_array_equal(ours.final_estimator_.coef_, theirs.final_estimator_.coef_)
    for number, (training, test) in enumerate(folds, 1):
        svc = clone(ours.named_estimators["svc"]).fit(ROWS[training], CODES[training])
        np.testing.assert_array_equal(fits[("svc", number)].probabilities, svc.predict_proba(ROWS[test]))


@pytest.mark.parametrize("engine", [SequentialEngine(), ProcessEngine(2)], ids=["in process", "processes"])
def test_a_fit_that_fails_leaves_the_stack_as_it_was(engine: Any) -> None:
    stack = light_stack()
    with pytest.raises(ValueError, match="NaN"):
        fit_stack(stack, np.full_like(ROWS, np.nan), LABELS, engine=engine)
    assert not hasattr(stack, "estimators_")
    assert not any("__sklearn_clone__" in vars(estimator) for _, estimator in stack.estimators)


def test_a_process_that_has_grown_is_replaced_in_the_middle() -> None:
    stack = StackingClassifier([("knn", HoardingClassifier())], LogisticRegression(), cv=5)
    fits = fit_stack(stack, ROWS, LABELS, engine=ProcessEngine(2))
    assert sorted(fits) == [("knn", fold) for fold in range(6)]


def test_finished_fits_are_not_made_again(tmp_path: Path) -> None:
    store, first, second = FitStore(tmp_path / "fits"), Remembered(), Remembered()
    stacks = [light_stack(), light_stack()]
    fit_stack(stacks[0], ROWS, LABELS, engine=SequentialEngine(), store=store, progress=first)
    fit_stack(stacks[1], ROWS, LABELS, engine=SequentialEngine(), store=store, progress=second)
    assert {s.part for s in first.steps} == {"knn", "svc", "meta"}
    assert {s.part for s in second.steps} == {"meta"}
    np.testing.assert_array_equal(stacks[0].predict_proba(ROWS), stacks[1].predict_proba(ROWS))
    store.remove_used()
    assert list((tmp_path / "fits").iterdir()) == []


def test_a_damaged_fit_is_made_again(tmp_path: Path) -> None:
    store = FitStore(tmp_path)
    fit_stack(light_stack(), ROWS, LABELS, engine=SequentialEngine(), store=store)
    for path in sorted(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:40])
    stack, heard = light_stack(), Remembered()
    fit_stack(stack, ROWS, LABELS, engine=SequentialEngine(), store=store, progress=heard)
    assert {s.part for s in heard.steps} == {"knn", "svc", "meta"}


def test_other_rows_labels_parameters_and_folds_are_other_fits(tmp_path: Path) -> None:
    store = FitStore(tmp_path)
    task = plan_fits(light_stack(), ROWS, CODES)[-1]
    keys = {
        store.key(task, "data"),
        store.key(task, "other data"),
        store.key(plan_fits(light_stack(svc__C=3.0), ROWS, CODES)[-1], "data"),
        store.key(plan_fits(light_stack(cv=4), ROWS, CODES)[-1], "data"),
        store.key(plan_fits(light_stack(), ROWS, CODES)[-2], "data"),
    }
    assert len(keys) == 5
    assert store.key(plan_fits(light_stack(), ROWS, CODES)[-1], "data") in keys


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "fits").write_text("in the way")
    with pytest.raises(RunError, match="fits is a link, or not a folder"):
        fit_stack(light_stack(), ROWS, LABELS, engine=SequentialEngine(), store=FitStore(tmp_path / "fits"))


KILLED = """
import sys
from pathlib import Path
import numpy as np
from sklearn.ensemble import StackingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from genrestack_training.fitting import FitStore, choose_engine, fit_stack
random = np.random.default_rng(0)
rows, labels = random.normal(size=(2400, 20)), random.integers(0, 6, 2400).astype(str)
parts = [("knn", KNeighborsClassifier(2)), ("svc", SVC(C=200, probability=True, random_state=0))]
stack = StackingClassifier(parts, cv=5)
class Heard:
    def update(self, step): print(step.part, step.fold, flush=True)
    def note(self, line): pass
print("begin", flush=True)
fit_stack(stack, rows, labels, store=FitStore(Path(sys.argv[1])), progress=Heard(), engine=choose_engine(1, [], 0))
print("sum", stack.final_estimator_.coef_.sum(), flush=True)
"""


def test_a_training_killed_in_the_middle_goes_on_where_it_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.split() == ["svc", "2"]:
                os.kill(process.pid, signal.SIGKILL)
                break
    kept = len(list(tmp_path.glob("*.joblib")))
    assert kept >= 8  # both parts on all rows, the KNN's five folds, the SVC's first
    resumed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    fresh = subprocess.run([*command[:-1], str(tmp_path / "new")], capture_output=True, text=True, check=True).stdout
    assert len([line for line in resumed if line.startswith(("knn", "svc"))]) == 12 - kept
    assert [line for line in resumed if line.startswith("sum")] == [
        line for line in fresh.split("\n") if line.startswith("sum")
    ]


def test_the_engine_is_chosen_by_the_work() -> None:
    tasks = plan_fits(light_stack(), ROWS, CODES)
    assert isinstance(choose_engine(None, tasks, 120), SequentialEngine)
    assert isinstance(choose_engine(1, tasks, 100_000), SequentialEngine)
    assert choose_engine(3, tasks, 120).parallelism == 3
    whole = [task for task in tasks if task.training is None]
    chosen = choose_engine(None, whole, 100_000)
    assert chosen.parallelism == joblib.cpu_count()


def test_long_fits_go_first() -> None:
    tasks = plan_fits(light_stack(), ROWS, CODES)
    assert [task.key for task in longest_first(tasks, 120)][:2] == [("svc", 0), ("svc", 1)]


def test_an_estimate_shares_the_rest_among_parallel_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Any = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("genrestack_training.fitting.fit_time.time", clock)
    fits = {("svc", fold): 1.0 for fold in range(5)}
    alone, shared = TimeEstimate(fits), TimeEstimate(fits, parallelism=2)
    for estimate in (alone, shared):
        estimate.begin(("svc", 0))
        clock.now += 20.0
        estimate.end(("svc", 0))
    (_, long), (_, short) = alone.state(), shared.state()
    assert (long, short) == (80.0, 40.0)
