"""Contestants really run: in process and served, with the Python that runs the tests."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import joblib
import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits
from sklearn.preprocessing import MinMaxScaler
from support.samples.stacks import FittedStack, export

from benchmarks.contestants.prepared import Prepared
from benchmarks.contestants.stock import convert_parts
from benchmarks.contestants.subjects import open_only_bundle
from benchmarks.peers.contestants.environments import current
from benchmarks.peers.contestants.pickled import make_pipeline
from benchmarks.peers.contestants.roster import REFERENCE, Files, contestants
from benchmarks.peers.measuring.budget import BATCHES, MANY_CALLERS, ONE, Block, Budget
from benchmarks.peers.measuring.contestant_run import PeerFailed, memory_mb, started
from benchmarks.peers.measuring.results import MEASURES
from benchmarks.peers.measuring.rounds import check_agreement, measure_all
from benchmarks.peers.report.ratios import figures

SCANT = Budget(1, (Block(ONE, 1, 1, 0.1, 3), Block(MANY_CALLERS, 4, 1, 0.2, 8), Block(BATCHES, 2, 256, 0.1, 2)))
ROWS = 300


@pytest.fixture(scope="module")
def fitted() -> FittedStack:
    """A stack of the demo's kind, with a network, hardly trained."""
    from genrestack_training.models.stack import build_stack

    digits = load_digits()
    scaler = MinMaxScaler().fit(digits.data[:400])
    stack = build_stack("demo", overrides={"stack": {"folds": 2}}, epochs=1, seed=0)
    stack.fit(scaler.transform(digits.data[:400]), digits.target[:400])
    rows = digits.data[400 : 400 + ROWS]
    names = tuple(f"pixel_{i}" for i in range(64))
    classes = tuple(str(c) for c in stack.classes_)
    labels = [str(label) for label in digits.target[400 : 400 + ROWS]]
    return FittedStack(stack, scaler, names, classes, digits.data[:400], rows, labels)


@pytest.fixture(scope="module")
def files(fitted: FittedStack, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("peers")
    export(fitted, folder / "single", "digits")
    with warnings.catch_warnings():
        # The converter reads what scikit-learn 1.9 announces the end of.
        warnings.filterwarnings("ignore", "Attribute `prob[AB]_` was deprecated", FutureWarning)
        convert_parts(cast(Any, fitted), folder / "stock")
    rows = folder / "rows.npy"
    np.save(rows, fitted.rows.astype(np.float32))
    joblib.dump(make_pipeline(fitted), folder / "model.joblib")
    prepared = Prepared(folder, folder / "single", folder / "single", folder / "stock", rows, "digits")
    return Files(prepared, folder / "model.joblib")


@pytest.mark.long
def test_a_round(files: Files) -> None:
    who = [each for each in contestants() if each.ours or each.environment in {"scikit-learn", "onnxruntime"}]
    results = {each.key: each for each in measure_all(who, files, SCANT, lambda name: current())}
    assert [each.failure for each in results.values()] == [""] * 6
    for each in results.values():
        assert set(each.values) == {measure.key for measure in MEASURES} - {"installed"}
        assert min(value for key, value in each.values.items() if key != "apart") > 0
        assert each.values["one_p50"] <= each.values["one_p99"]
        assert each.versions
    assert results[REFERENCE].values["apart"] == 0
    assert len(figures([*results.values()])) == 4
    for ours in ("genrestack-1", "genrestack-2", "genrestack-json", "genrestack-bytes"):
        assert results[ours].values["apart"] < 5e-4
        assert results[ours].values["labels"] == 100


def test_the_pickle_needs_nothing_of_ours_and_answers_one_row(files: Files, fitted: FittedStack) -> None:
    program = """
import sys
sys.modules.update({"genrestack_training": None})
import numpy as np
from benchmarks.peers.contestants.unpickled import load, probabilities
pipeline, rows = load(sys.argv[1]), np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([probabilities(pipeline, rows[:1]), probabilities(pipeline, rows[1:])]))
"""
    out = files.pickle.with_name("answers.npy")
    command = [sys.executable, "-W", "ignore", "-c", program, str(files.pickle), str(files.prepared.rows), str(out)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
    expected = fitted.probabilities(fitted.rows.astype(np.float32))
    assert np.load(out) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("key", ["genrestack-1", "genrestack-json", "genrestack-bytes"])
def test_our_server_by_each_protocol(key: str, models_dir: Path, tmp_path: Path) -> None:
    bundle = open_only_bundle(models_dir)
    np.save(tmp_path / "rows.npy", bundle.golden.rows.astype(np.float32))
    files = Files(Prepared(tmp_path, models_dir, models_dir, tmp_path, tmp_path / "rows.npy", ""), tmp_path)
    (who,) = (each for each in contestants() if each.key == key)
    with started(who, files, lambda name: current()) as running:
        assert running.answers() == pytest.approx(bundle.golden.probabilities, abs=1e-6)
        block = running.load(Block(BATCHES, 2, 256, 0.1, 4))
    assert len(block.taken) >= 4


def test_one_that_answers_otherwise_by_http() -> None:
    by_http = next(each for each in contestants() if each.key == "genrestack-json")
    same = np.full((2, 2), 0.5)
    check_agreement(by_http, {"genrestack-1": same, "genrestack-json": same})
    with pytest.raises(PeerFailed, match="GenreStack, HTTP, JSON: it answers otherwise than by gRPC"):
        check_agreement(by_http, {"genrestack-1": same, "genrestack-json": same + 1e-3})


def test_one_that_does_not_start(files: Files, tmp_path: Path) -> None:
    ours = next(each for each in contestants() if each.key == "genrestack-1")
    nothing = Prepared(tmp_path, tmp_path, tmp_path, tmp_path, files.prepared.rows, "nothing")
    failing = started(ours, Files(nothing, files.pickle), lambda name: current())
    with (
        pytest.raises(PeerFailed, match=r"GenreStack, 1 worker: no answer \(exit status 2\)\n  .*nothing to serve"),
        failing,
    ):
        pass


def test_memory_is_of_all_processes() -> None:
    hold = "import sys, time; held = bytearray(b'1') * 50_000_000; print(flush=True); time.sleep(60)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert 50 < memory_mb(parent.pid) < 150
        children = psutil.Process(parent.pid).children()
        for each in children:
            each.kill()
    assert memory_mb(parent.pid) == 0
